<?php

declare(strict_types=1);

namespace Drupal\bam\Entity;

use Drupal\Core\Config\Entity\ConfigEntityBase;

/**
 * A backup profile. Its keys are those of bam's configuration document.
 *
 * @ConfigEntityType(
 *   id = "bam_profile",
 *   label = @Translation("Profile"),
 *   label_collection = @Translation("Profiles"),
 *   label_singular = @Translation("profile"),
 *   label_plural = @Translation("profiles"),
 *   label_count = @PluralTranslation(
 *     singular = "@count profile",
 *     plural = "@count profiles",
 *   ),
 *   config_prefix = "profile",
 *   admin_permission = "administer bam",
 *   handlers = {
 *     "list_builder" = "Drupal\bam\ProfileListBuilder",
 *     "form" = {
 *       "add" = "Drupal\bam\Form\ProfileForm",
 *       "edit" = "Drupal\bam\Form\ProfileForm",
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
 *   },
 *   links = {
 *     "collection" = "/admin/config/system/bam/profiles",
 *     "add-form" = "/admin/config/system/bam/profiles/add",
 *     "edit-form" = "/admin/config/system/bam/profiles/{bam_profile}",
 *     "delete-form" = "/admin/config/system/bam/profiles/{bam_profile}/delete",
 *   },
 *   config_export = {
 *     "id",
 *     "label",
 *     "filename",
 *     "append_timestamp",
 *     "timestamp_format",
 *     "compression",
 *     "encryption",
 *     "description",
 *     "site_offline",
 *     "site_offline_message",
 *     "ignore_errors",
 *     "notify",
 *     "sources",
 *   }
 * )
 */
final class Profile extends ConfigEntityBase {

  /**
   * The machine name.
   */
  protected ?string $id = NULL;

  /**
   * What people call it.
   */
  protected ?string $label = NULL;

  /**
   * The name of the file, with tokens.
   */
  protected string $filename = '[site:name]';

  /**
   * Timestamps: 0: none, 1: one, 2: none, the old backup is overwritten.
   */
  protected int $append_timestamp = 1;

  /**
   * In letters of PHP's date().
   */
  protected string $timestamp_format = 'Y-m-d\TH-i-s';

  /**
   * One of gzip, zstd, bzip2, zip, none.
   */
  protected string $compression = 'gzip';

  /**
   * One of none, aes256, age.
   */
  protected string $encryption = 'none';

  /**
   * A note kept with the backups.
   */
  protected string $description = '';

  /**
   * Maintenance mode while a backup is made.
   */
  protected bool $site_offline = FALSE;

  /**
   * What visitors read then.
   */
  protected string $site_offline_message = '';

  /**
   * Go on without what cannot be read.
   */
  protected bool $ignore_errors = FALSE;

  /**
   * Who hears of it: addresses by outcome.
   */
  protected array $notify = ['success' => '', 'failure' => ''];

  /**
   * Settings of sources, each with its name in `source`.
   */
  protected array $sources = [];

}
