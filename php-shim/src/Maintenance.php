<?php

namespace Bam;

/**
 * Drupal 7's maintenance mode around a run, which must end however the run ends.
 *
 * begin() leaves a record of who put the site offline in the variable `bam_maintenance`; whoever comes across that
 * of a run that is gone (kill -9, a power cut) puts the site back online: repair(). The record lies in the database, so
 * that a dump made while the site is offline carries it: a restore sees by it what is not the site's own wish.
 *
 * Needs a Drupal that is bootstrapped to its variables at least.
 */
final class Maintenance
{
    private const RECORD = 'bam_maintenance';
    private const MODE = 'maintenance_mode';
    private const MESSAGE = 'maintenance_mode_message';

    /** How long a run on another machine is believed in, in seconds: its process cannot be looked at from here. */
    private const ELSEWHERE = 43200;

    /**
     * The program by which others do all this: bin/bam-maintenance.
     */
    public static function program(): string
    {
        return dirname(__DIR__) . '/bin/bam-maintenance';
    }

    /**
     * Puts the site offline, if it is online.
     *
     * @param string $message what visitors read, tokens replaced; '' keeps the site's own message
     * @param int    $pid     the process that will call end(); when it is gone, repair() does
     * @param string $journal of a restore: while it says that the site is half restored, repair() does nothing
     *
     * @return bool whether it did: only then is end() called for
     */
    public static function begin(string $message, int $pid, string $journal = ''): bool
    {
        self::repair();
        return self::locked(static function () use ($message, $pid, $journal): bool {
            $now = self::stored();
            // variable_get() besides, for settings.php may say so, too.
            if (!empty($now[self::MODE]) || variable_get(self::MODE, 0)) {
                return false;
            }
            // Record first, mode last: whatever this is stopped at can be taken back.
            variable_set(self::RECORD, [
                'pid' => $pid,
                'process' => Process::identify($pid),
                'host' => Process::host(),
                'since' => time(),
                'journal' => $journal,
                'had_message' => isset($now[self::MESSAGE]),
                'message' => $now[self::MESSAGE] ?? '',
            ]);
            if ($message !== '') {
                variable_set(self::MESSAGE, $message);
            }
            variable_set(self::MODE, 1);
            return true;
        });
    }

    /**
     * Puts the site back online, after begin() put it offline. Also right when a restore has exchanged the database in
     * between: then the record found is that of the run which made the backup.
     */
    public static function end(): void
    {
        // The server may have closed the connection meanwhile: backups take longer than many a wait_timeout.
        \Database::closeConnection();
        self::locked(static function (): bool {
            self::online(self::stored());
            return true;
        });
    }

    /**
     * Puts the site back online if the process is the one that put it offline: for shutdown functions, which also run
     * after all went well.
     */
    public static function endOwn(int $pid): void
    {
        $record = self::stored()[self::RECORD] ?? null;
        if (is_array($record) && ($record['pid'] ?? null) === $pid && ($record['host'] ?? '') === Process::host()) {
            self::end();
        }
    }

    /**
     * Puts the site back online if the run that put it offline is gone.
     *
     * @return bool whether it had to
     */
    public static function repair(): bool
    {
        if (!self::isStale(self::stored()[self::RECORD] ?? null)) {
            return false;
        }
        return self::locked(static function (): bool {
            // Again, under the lock: another request may have done it, and another run begun, meanwhile.
            $now = self::stored();
            if (!self::isStale($now[self::RECORD] ?? null)) {
                return false;
            }
            self::online($now);
            return true;
        });
    }

    /**
     * @param mixed $record
     */
    private static function isStale($record): bool
    {
        if ($record === null) {
            return false;
        }
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

    private static function online(array $now): void
    {
        variable_set(self::MODE, 0);
        $record = $now[self::RECORD] ?? null;
        if (is_array($record)) {
            if (!empty($record['had_message'])) {
                variable_set(self::MESSAGE, $record['message']);
            } else {
                variable_del(self::MESSAGE);
            }
        }
        variable_del(self::RECORD);
    }

    /**
     * What the database says now: $conf is as old as this request, and a restore may have gone over the table since.
     */
    private static function stored(): array
    {
        $names = [self::RECORD, self::MODE, self::MESSAGE];
        $rows = db_query('SELECT name, value FROM {variable} WHERE name IN (:names)', [':names' => $names]);
        return array_map(static function ($value) {
            return unserialize($value, ['allowed_classes' => false]);
        }, $rows->fetchAllKeyed());
    }

    private static function locked(callable $work): bool
    {
        // Held for some milliseconds by others; if it cannot be had in 5 seconds, its holder hangs: go on without.
        $got = lock_acquire(self::RECORD) || (!lock_wait(self::RECORD, 5) && lock_acquire(self::RECORD));
        try {
            return $work();
        } finally {
            if ($got) {
                lock_release(self::RECORD);
            }
        }
    }
}
