<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Drupal\Core\StringTranslation\TranslatableMarkup;

/**
 * Restore a backup for trial.
 */
final class DrillForm extends BackupConfirmForm {

  protected const VERB = 'drill';

  /**
   * What a drill is.
   */
  public static function explanation(): TranslatableMarkup {
    return t('The newest backup of each source, or the one that was chosen, is restored into a scratch folder and a scratch database, compared, and thrown away. The site is not touched.');
  }

  /**
   * {@inheritdoc}
   */
  public function getQuestion(): TranslatableMarkup {
    return $this->t('Start a drill with the backup of @source from @date?', $this->words());
  }

  /**
   * {@inheritdoc}
   */
  public function getDescription(): TranslatableMarkup {
    return self::explanation();
  }

  /**
   * {@inheritdoc}
   */
  public function getConfirmText(): TranslatableMarkup {
    return $this->t('Start the drill');
  }

  /**
   * {@inheritdoc}
   */
  protected function title(string $id): TranslatableMarkup {
    return $this->t('Drill with backup @id', ['@id' => $id]);
  }

}
