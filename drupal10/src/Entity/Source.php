<?php

declare(strict_types=1);

namespace Drupal\bam\Entity;

use Drupal\Core\Config\Entity\ConfigEntityBase;

/**
 * A backup source. Its keys are those of bam's configuration document.
 *
 * @ConfigEntityType(
 *   id = "bam_source",
 *   label = @Translation("Source"),
 *   label_collection = @Translation("Sources"),
 *   label_singular = @Translation("source"),
 *   label_plural = @Translation("sources"),
 *   label_count = @PluralTranslation(
 *     singular = "@count source",
 *     plural = "@count sources",
 *   ),
 *   config_prefix = "source",
 *   admin_permission = "administer bam",
 *   handlers = {
 *     "list_builder" = "Drupal\bam\SourceListBuilder",
 *     "form" = {
 *       "add" = "Drupal\bam\Form\SourceForm",
 *       "edit" = "Drupal\bam\Form\SourceForm",
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
 *     "collection" = "/admin/config/system/bam/sources",
 *     "add-form" = "/admin/config/system/bam/sources/add",
 *     "edit-form" = "/admin/config/system/bam/sources/{bam_source}",
 *     "delete-form" = "/admin/config/system/bam/sources/{bam_source}/delete",
 *   },
 *   config_export = {
 *     "id",
 *     "label",
 *     "type",
 *     "database",
 *     "path",
 *     "code",
 *   }
 * )
 */
final class Source extends ConfigEntityBase {

  /**
   * The machine name.
   */
  protected ?string $id = NULL;

  /**
   * What people call it.
   */
  protected ?string $label = NULL;

  /**
   * Kind: database, files or archive.
   */
  protected string $type = 'database';

  /**
   * For databases and archives: which; empty for the site's own.
   */
  protected string $database = '';

  /**
   * For files: the folder.
   */
  protected string $path = '';

  /**
   * For archives: all, or composer.
   */
  protected string $code = '';

}
