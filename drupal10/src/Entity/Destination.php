<?php

declare(strict_types=1);

namespace Drupal\bam\Entity;

use Drupal\Core\Config\Entity\ConfigEntityBase;

/**
 * A backup destination. Its keys are those of bam's configuration document.
 *
 * @ConfigEntityType(
 *   id = "bam_destination",
 *   label = @Translation("Place"),
 *   label_collection = @Translation("Places"),
 *   label_singular = @Translation("place"),
 *   label_plural = @Translation("places"),
 *   label_count = @PluralTranslation(
 *     singular = "@count place",
 *     plural = "@count places",
 *   ),
 *   config_prefix = "destination",
 *   admin_permission = "administer bam",
 *   handlers = {
 *     "list_builder" = "Drupal\bam\DestinationListBuilder",
 *     "form" = {
 *       "add" = "Drupal\bam\Form\DestinationForm",
 *       "edit" = "Drupal\bam\Form\DestinationForm",
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
 *     "collection" = "/admin/config/system/bam/places",
 *     "add-form" = "/admin/config/system/bam/places/add",
 *     "edit-form" = "/admin/config/system/bam/places/{bam_destination}",
 *     "delete-form" = "/admin/config/system/bam/places/{bam_destination}/delete",
 *   },
 *   config_export = {
 *     "id",
 *     "label",
 *     "type",
 *     "path",
 *     "url",
 *     "repository",
 *     "key_file",
 *     "credential_files",
 *     "endpoint",
 *     "region",
 *     "access_key",
 *     "ca_file",
 *     "append_only",
 *     "identity_file",
 *     "host_key",
 *     "password_file",
 *     "password_key",
 *   }
 * )
 */
final class Destination extends ConfigEntityBase {

  /**
   * The machine name.
   */
  protected ?string $id = NULL;

  /**
   * What people call it.
   */
  protected ?string $label = NULL;

  /**
   * Kind: directory, sftp, rsync, s3, webdav or restic.
   */
  protected string $type = 'directory';

  /**
   * For directories: the folder.
   */
  protected string $path = '';

  /**
   * For other machines: the address, without a password.
   */
  protected string $url = '';

  /**
   * For restic: where the repository is, as restic takes it.
   */
  protected string $repository = '';

  /**
   * For restic: the file with its password; empty: the key of this site.
   */
  protected string $key_file = '';

  /**
   * For restic: the files with what it logs in with, by variable.
   */
  protected array $credential_files = [];

  /**
   * For s3: the address of the server; empty: Amazon's.
   */
  protected string $endpoint = '';

  /**
   * For s3: the region.
   */
  protected string $region = '';

  /**
   * For s3: the ID of the key, whose secret is the password.
   */
  protected string $access_key = '';

  /**
   * For s3, webdav and restic: a file of certificates trusted besides the system's.
   */
  protected string $ca_file = '';

  /**
   * For s3, webdav and restic: nothing is deleted there.
   */
  protected bool $append_only = FALSE;

  /**
   * The file with the private key for SSH.
   */
  protected string $identity_file = '';

  /**
   * The key of the server, as ssh-keygen prints it.
   */
  protected string $host_key = '';

  /**
   * The file with the password.
   */
  protected string $password_file = '';

  /**
   * The key of the Key module with the password.
   */
  protected string $password_key = '';

}
