<?php

declare(strict_types=1);

namespace Drupal\bam\Entity;

use Drupal\Core\Config\Entity\ConfigEntityBase;

/**
 * A backup schedule. Its keys are those of bam's configuration document.
 *
 * @ConfigEntityType(
 *   id = "bam_schedule",
 *   label = @Translation("Schedule"),
 *   label_collection = @Translation("Schedules"),
 *   label_singular = @Translation("schedule"),
 *   label_plural = @Translation("schedules"),
 *   label_count = @PluralTranslation(
 *     singular = "@count schedule",
 *     plural = "@count schedules",
 *   ),
 *   config_prefix = "schedule",
 *   admin_permission = "administer bam",
 *   handlers = {
 *     "list_builder" = "Drupal\bam\ScheduleListBuilder",
 *     "form" = {
 *       "add" = "Drupal\bam\Form\ScheduleForm",
 *       "edit" = "Drupal\bam\Form\ScheduleForm",
 *       "delete" = "Drupal\Core\Entity\EntityDeleteForm",
 *     },
 *     "route_provider" = {
 *       "html" = "Drupal\Core\Entity\Routing\AdminHtmlRouteProvider",
 *     },
 *   },
 *   entity_keys = {
 *     "id" = "id",
 *     "label" = "label",
 *     "uuid" = "uuid",
 *     "status" = "status",
 *   },
 *   links = {
 *     "collection" = "/admin/config/system/bam/schedules",
 *     "add-form" = "/admin/config/system/bam/schedules/add",
 *     "edit-form" = "/admin/config/system/bam/schedules/{bam_schedule}",
 *     "delete-form" = "/admin/config/system/bam/schedules/{bam_schedule}/delete",
 *   },
 *   config_export = {
 *     "id",
 *     "label",
 *     "source",
 *     "destinations",
 *     "profile",
 *     "every",
 *     "cron",
 *     "keep",
 *     "keep_periods",
 *   }
 * )
 */
final class Schedule extends ConfigEntityBase {

  /**
   * The machine name.
   */
  protected ?string $id = NULL;

  /**
   * What people call it.
   */
  protected ?string $label = NULL;

  /**
   * What is backed up.
   */
  protected string $source = 'db';

  /**
   * Where to, the main one first.
   */
  protected array $destinations = [];

  /**
   * How.
   */
  protected string $profile = 'default';

  /**
   * Seconds between two runs; 0: only when asked.
   */
  protected int $every = 86400;

  /**
   * A crontab expression, instead.
   */
  protected string $cron = '';

  /**
   * How many backups stay; 0: all; -2: fewer the older they are.
   */
  protected int $keep = 0;

  /**
   * So many of each period, instead: `last`, `daily`, `within` and so on.
   */
  protected array $keep_periods = [];

  /**
   * {@inheritdoc}
   *
   * Who writes it by hand may write periods as bam.yml has them.
   */
  public function __construct(array $values, $entity_type) {
    if (is_array($values['keep'] ?? NULL)) {
      $values['keep_periods'] = $values['keep'];
      $values['keep'] = 0;
    }
    parent::__construct($values, $entity_type);
  }

}
