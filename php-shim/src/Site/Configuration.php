<?php

namespace Bam\Site;

use Bam\Document;

/**
 * A site's configuration as read just now, from wherever it could be had, and what has to be said about that.
 */
final class Configuration
{
    private Document $document;
    /** @var string[] */
    private array $notes;
    private bool $complete = true;

    /**
     * @param string[] $notes
     */
    private function __construct(Document $document, array $notes)
    {
        $this->document = $document;
        $this->notes = $notes;
    }

    public function document(): Document
    {
        return $this->document;
    }

    /**
     * @return string[]
     */
    public function notes(): array
    {
        return $this->notes;
    }

    /**
     * Whether all settings are known. If not, what only the site's database tells is missing: destinations, profiles.
     */
    public function isComplete(): bool
    {
        return $this->complete;
    }

    /**
     * Reads a site: from its database while that answers, else from the copy kept of its last good answer.
     */
    public static function of(Site $site): self
    {
        $builder = $site->builder();
        $document = $builder->build();
        $notes = $builder->notes();
        $kept = $site->keepsCopy()
            ? KeptCopy::of($site->root(), $site->confPath())
            : null;
        $copy = $kept === null ? null : $kept->load();

        if ($site->problem() !== null) {
            $why = "the site's database gives no settings: {$site->problem()}; ";
            if ($copy === null) {
                $why .= 'there is no copy of them from better days, so only what settings.php says is known';
                $poor = new self($document, array_merge([$why], $notes));
                $poor->complete = false;
                return $poor;
            }
            $kept = $copy['document']->with('databases', $document->map('databases'));
            return new self($kept, [$why . 'using the copy of ' . date('Y-m-d H:i', $copy['saved'])]);
        }
        $code = $site->inCode();
        if ($copy !== null && !$site->seesCode()) {
            [$document, $code] = self::addCode($document, $copy);
        }
        if ($kept !== null) {
            $kept->save($document, $code);
        }
        return new self($document, $notes);
    }

    /**
     * Items in modules' code are there, but only Drupal can tell them: those that the copy has and nothing overrides.
     *
     * @param array{saved: int, document: Document, code: array<string, string[]>} $copy
     * @return array{0: Document, 1: array<string, string[]>}
     */
    private static function addCode(Document $document, array $copy): array
    {
        $code = [];
        foreach ($copy['code'] as $part => $names) {
            $known = array_intersect_key($copy['document']->map($part), array_flip($names));
            $added = array_diff_key($known, $document->map($part));
            $code[$part] = array_map('strval', array_keys($added));
            $document = $document->with($part, $document->map($part) + $added);
        }
        return [$document, $code];
    }
}
