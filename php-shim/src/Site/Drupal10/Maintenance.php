<?php

namespace Bam\Site\Drupal10;

use Bam\Process;
use Bam\RestoreJournal;

/**
 * Maintenance mode of Drupal 8 to 11 around a run, which must end however the run ends.
 *
 * begin() leaves a record of who put the site offline in the state `bam.maintenance`; whoever comes across that of a
 * run that is gone (kill -9, a power cut) puts the site back online: repair(). The record lies in the database, so that
 * a dump made while the site is offline carries it: a restore sees by it what is not the site's own wish.
 *
 * Works on the database alone, so that a site can be sent offline whose Drupal does not start. What Drupal has cached
 * in the database goes along; where its caches are elsewhere (Redis, Memcache), Drupal is started to empty them.
 */
final class Maintenance
{
    private const STATE = 'state';
    private const MODE = 'system.maintenance_mode';
    private const RECORD = 'bam.maintenance';
    private const CONFIG = 'system.maintenance';

    /** How long a run on another machine is believed in, in seconds: its process cannot be looked at from here. */
    private const ELSEWHERE = 43200;
    /** Caches that know of the mode: pages, also those that say "offline"; state; configuration. */
    private const BINS = ['page', 'dynamic_page_cache', 'bootstrap', 'config'];

    private Drupal10Site $site;
    private Store $store;

    public function __construct(Drupal10Site $site, Store $store)
    {
        $this->site = $site;
        $this->store = $store;
    }

    /**
     * Puts the site offline, if it is online.
     *
     * @param string $message What visitors read, tokens replaced; '' keeps the site's own message.
     * @param int $pid The process that will call end(); when it is gone, repair() does.
     * @param string $journal Of a restore: while it says that the site is half restored, repair() does nothing.
     *
     * @return bool Whether it did: only then is end() called for.
     */
    public function begin(string $message, int $pid, string $journal = ''): bool
    {
        $this->repair();
        $state = $this->store->values(self::STATE);
        if (!empty($state[self::MODE])) {
            return false;
        }
        $record = [
            'pid' => $pid,
            'process' => Process::identify($pid),
            'host' => Process::host(),
            'since' => time(),
            'journal' => $journal,
        ];
        $own = $this->store->config(self::CONFIG)[self::CONFIG] ?? [];
        if ($message !== '') {
            $record += ['own' => $own];
        }
        try {
            // Record first, mode last: whatever this is stopped at can be taken back. There is one record at most.
            $this->store->set(self::STATE, self::RECORD, $record, true);
        } catch (\PDOException $another) {
            return false;
        }
        if ($message !== '') {
            $this->store->setConfig(self::CONFIG, ['message' => $message] + $own);
        }
        $this->store->set(self::STATE, self::MODE, true);
        $this->forget();
        return true;
    }

    /**
     * Puts the site back online, after begin() put it offline. Also right when a restore has exchanged the database in
     * between: then the record found is that of the live site, which the restore has carried over.
     */
    public function end(): void
    {
        $record = $this->store->values(self::STATE)[self::RECORD] ?? null;
        $this->store->set(self::STATE, self::MODE, false);
        if (is_array($record) && is_array($record['own'] ?? null)) {
            $this->store->setConfig(self::CONFIG, $record['own'] === [] ? null : $record['own']);
        }
        $this->store->delete(self::STATE, self::RECORD);
        $this->forget();
    }

    /**
     * Puts the site back online if the process is the one that put it offline: for shutdown functions, which also run
     * after all went well.
     */
    public function endOwn(int $pid): void
    {
        $record = $this->store->values(self::STATE)[self::RECORD] ?? null;
        if (is_array($record) && ($record['pid'] ?? null) === $pid && ($record['host'] ?? '') === Process::host()) {
            $this->end();
        }
    }

    /**
     * Puts the site back online if the run that put it offline is gone.
     *
     * @return bool Whether it had to.
     */
    public function repair(): bool
    {
        $state = $this->store->values(self::STATE);
        if (!array_key_exists(self::RECORD, $state) || !self::isStale($state[self::RECORD])) {
            return false;
        }
        $this->end();
        return true;
    }

    /**
     * @param mixed $record
     */
    private static function isStale($record): bool
    {
        if (!is_array($record) || !isset($record['pid'], $record['host'], $record['since'])) {
            return true;
        }
        if (RestoreJournal::isMixed((string) ($record['journal'] ?? ''))) {
            return false;
        }
        if ($record['host'] !== Process::host()) {
            return time() - (int) $record['since'] > self::ELSEWHERE;
        }
        return !Process::isAlive((int) $record['pid'], (string) ($record['process'] ?? ''));
    }

    private function forget(): void
    {
        $this->store->dropCaches(self::BINS);
        if ($this->site->cachesElsewhere() !== []) {
            try {
                (new Kernel($this->site))->forget(self::BINS);
            } catch (\Throwable $broken) {
                // A site that does not start shows no cached pages of its own either.
                return;
            }
        }
    }
}
