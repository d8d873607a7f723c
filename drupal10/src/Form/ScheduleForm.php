<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Bam\Crontab;
use Drupal\Core\Entity\EntityInterface;
use Drupal\Core\Form\FormStateInterface;

/**
 * A schedule: when backups are made.
 */
final class ScheduleForm extends ItemForm {

  private const UNITS = ['hours' => 3600, 'days' => 86400, 'weeks' => 604800];

  /**
   * {@inheritdoc}
   */
  public function form(array $form, FormStateInterface $form_state): array {
    if ($this->entity->isNew()) {
      $usual = $this->site->usualProfile((string) $this->entity->get('source'));
      $this->entity->set('profile', $usual);
    }
    $form = parent::form($form, $form_state);
    $form['status'] = [
      '#type' => 'checkbox',
      '#title' => $this->t('Enabled'),
      '#default_value' => $this->entity->status(),
    ];
    $form['source'] = $this->choice('source', $this->t('What'), $this->site->options('sources'), ['#required' => TRUE]);
    $form['destinations'] = [
      '#type' => 'checkboxes',
      '#title' => $this->t('Where to'),
      '#options' => $this->site->options('destinations'),
      '#default_value' => $this->entity->get('destinations'),
      '#required' => TRUE,
    ];
    $form['profile'] = $this->choice('profile', $this->t('How'), $this->site->options('profiles'), ['#required' => TRUE]);
    $every = (int) $this->entity->get('every');
    $unit = 'hours';
    foreach (self::UNITS as $name => $seconds) {
      $unit = $every > 0 && $every % $seconds === 0 ? $name : $unit;
    }
    $form['number'] = [
      '#type' => 'number',
      '#title' => $this->t('Every'),
      '#description' => $this->t('0: only when asked.'),
      '#min' => 0,
      '#max' => 1000000,
      '#step' => 1,
      '#required' => TRUE,
      '#default_value' => intdiv($every, self::UNITS[$unit]),
    ];
    $form['unit'] = [
      '#type' => 'select',
      '#title' => $this->t('Unit'),
      '#options' => ['hours' => $this->t('hours'), 'days' => $this->t('days'), 'weeks' => $this->t('weeks')],
      '#default_value' => $unit,
    ];
    $form['cron'] = $this->text('cron', $this->t('Crontab expression, instead'), $this->t('For instance "0 4 * * 6", Saturdays at 4. Cron must run often enough.'));
    $keep = (int) $this->entity->get('keep');
    $form['how_many'] = [
      '#type' => 'select',
      '#title' => $this->t('Keep'),
      '#options' => [
        'all' => $this->t('All backups'),
        'some' => $this->t('So many'),
        'smart' => $this->t('Fewer the older they are: hourly, daily, weekly'),
      ],
      '#default_value' => $keep === 0 ? 'all' : ($keep > 0 ? 'some' : 'smart'),
    ];
    $form['keep'] = [
      '#type' => 'number',
      '#title' => $this->t('Number of backups'),
      '#min' => 1,
      '#max' => 1000000,
      '#step' => 1,
      '#default_value' => max(1, $keep),
      '#states' => ['visible' => [':input[name="how_many"]' => ['value' => 'some']]],
    ];
    return $form;
  }

  /**
   * {@inheritdoc}
   */
  public function validateForm(array &$form, FormStateInterface $form_state): void {
    parent::validateForm($form, $form_state);
    if ($form_state->getValue('how_many') === 'some' && trim((string) ($form_state->getUserInput()['keep'] ?? '')) === '') {
      $form_state->setErrorByName('keep', $this->t('How many?'));
    }
    $cron = trim((string) $form_state->getValue('cron'));
    if (!Crontab::isExpression($cron) && $cron !== '') {
      $form_state->setErrorByName('cron', $this->t('That is no crontab expression. It has five fields: minute (0-59), hour (0-23), day (1-31), month (1-12), weekday (0-7).'));
    }
    $form_state->setValue('cron', $cron);
  }

  /**
   * {@inheritdoc}
   *
   * What is copied into the entity is of its types even while it is not valid.
   */
  public function buildEntity(array $form, FormStateInterface $form_state): EntityInterface {
    $number = (int) min(1000000, max(0, (float) $form_state->getValue('number')));
    $form_state->setValue('every', $number * (self::UNITS[$form_state->getValue('unit')] ?? 0));
    $form_state->setValue('keep', $this->keep($form_state));
    $form_state->setValue('status', (bool) $form_state->getValue('status'));
    $form_state->setValue('destinations', array_map('strval', array_values(array_filter((array) $form_state->getValue('destinations'), 'is_string'))));
    return parent::buildEntity($form, $form_state);
  }

  /**
   * How many backups are kept, as the document says it.
   */
  private function keep(FormStateInterface $form_state): int {
    return match ($form_state->getValue('how_many')) {
      'smart' => -2,
      'some' => (int) min(1000000, max(1, (float) $form_state->getValue('keep'))),
      default => 0,
    };
  }

}
