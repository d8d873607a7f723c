<?php

namespace Bam;

/**
 * The journal that a restore keeps in bam's state folder (rust/core/src/job/restore/journal.rs) until it is over.
 */
final class RestoreJournal
{
    /** States in which what is live may be half old and half new. */
    private const MIXED = ['swapping', 'reverting'];

    /**
     * Whether a restore stopped between old and new: visitors must not see that, until `bam recover` has ended it.
     *
     * @param string $path the journal; '' for runs that have none
     */
    public static function isMixed(string $path): bool
    {
        if ($path === '' || !is_file($path)) {
            return false;
        }
        $text = @file_get_contents($path);
        // One that may not be read is another user's, who has not ended it.
        return $text === false || in_array(json_decode($text, true)['state'] ?? '', self::MIXED, true);
    }
}
