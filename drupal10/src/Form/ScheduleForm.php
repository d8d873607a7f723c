<?php

declare(strict_types=1);

namespace Drupal\bam\Form;

use Bam\Crontab;
use Bam\Keep;
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
    return $form + $this->keepFields();
  }

  /**
   * How many backups stay.
   */
  private function keepFields(): array {
    $keep = (int) $this->entity->get('keep');
    $periods = (array) $this->entity->get('keep_periods');
    $form['how_many'] = [
      '#type' => 'select',
      '#title' => $this->t('Keep'),
      '#options' => [
        'all' => $this->t('All backups'),
        'some' => $this->t('So many'),
        'smart' => $this->t('Fewer the older they are: hourly, daily, weekly'),
        'periods' => $this->t('So many of each period'),
      ],
      '#default_value' => match (TRUE) {
        $periods !== [] => 'periods',
        $keep === 0 => 'all',
        default => $keep > 0 ? 'some' : 'smart',
      },
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
    $form['keep_periods'] = [
      '#type' => 'details',
      '#title' => $this->t('So many of each period'),
      '#description' => $this->t('A number, or <em>all</em>; empty: none. A backup stays as long as one of them keeps it. Periods without a backup do not count.'),
      '#open' => TRUE,
      '#tree' => TRUE,
      '#states' => ['visible' => [':input[name="how_many"]' => ['value' => 'periods']]],
    ];
    $titles = [
      'last' => $this->t('The newest'),
      'hourly' => $this->t('The last of each hour'),
      'daily' => $this->t('The last of each day'),
      'weekly' => $this->t('The last of each week'),
      'monthly' => $this->t('The last of each month'),
      'yearly' => $this->t('The last of each year'),
      'within' => $this->t('All that are not older than the newest by more than'),
    ];
    foreach ($titles as $word => $title) {
      $form['keep_periods'][$word] = [
        '#type' => 'textfield',
        '#title' => $title,
        '#size' => 8,
        '#maxlength' => 8,
        '#default_value' => $periods[$word] ?? '',
      ];
    }
    $form['keep_periods']['within']['#description'] = $this->t('For instance 36h, 14d or 8w.');
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
    if ($form_state->getValue('how_many') === 'periods') {
      $this->validatePeriods($form_state);
    }
    $cron = trim((string) $form_state->getValue('cron'));
    if (!Crontab::isExpression($cron) && $cron !== '') {
      $form_state->setErrorByName('cron', $this->t('That is no crontab expression. It has five fields: minute (0-59), hour (0-23), day (1-31), month (1-12), weekday (0-7).'));
    }
    elseif (!Crontab::comes($cron)) {
      $form_state->setErrorByName('cron', $this->t('That day never comes.'));
    }
    $form_state->setValue('cron', $cron);
  }

  /**
   * What is said of periods.
   */
  private function validatePeriods(FormStateInterface $form_state): void {
    $said = Keep::said((array) $form_state->getValue('keep_periods'));
    foreach ($said as $word => $value) {
      if (!Keep::isValue($word, $value)) {
        $form_state->setErrorByName("keep_periods][$word", $word === 'within'
          ? $this->t('That is no time: write for instance 36h, 14d or 8w.')
          : $this->t('How many? A number, or <em>all</em>.'));
      }
    }
    if ($said === []) {
      $form_state->setErrorByName('keep_periods', $this->t('Of which period? With none of them nothing is kept.'));
    }
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
    $form_state->setValue('keep_periods', $form_state->getValue('how_many') === 'periods' ? Keep::said((array) $form_state->getValue('keep_periods')) : []);
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
