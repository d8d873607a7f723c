<?php

namespace Bam\Site\Drupal10;

use Drupal\Core\DrupalKernel;
use Drupal\Core\Site\Settings;
use Symfony\Component\HttpFoundation\Request;

/**
 * A Drupal 8 to 11 that is started in this process, for what only Drupal can do.
 */
final class Kernel
{
    private Drupal10Site $site;
    private DrupalKernel $kernel;

    /**
     * Starts it as a page request would, up to the handling of the request.
     *
     * @param bool $anew Without the container that it has compiled before.
     *
     * @throws \Throwable Whatever a broken Drupal throws.
     */
    public function __construct(Drupal10Site $site, bool $anew = false)
    {
        $this->site = $site;
        $docroot = $site->project()->docroot();
        chdir($docroot);
        $loader = require "$docroot/autoload.php";
        $request = $this->request();
        DrupalKernel::bootEnvironment($docroot);
        $this->kernel = new DrupalKernel('prod', $loader, true, $docroot);
        $this->kernel->setSitePath($site->sitePath());
        Settings::initialize($docroot, $site->sitePath(), $loader);
        if ($anew) {
            $this->kernel->invalidateContainer();
        }
        $this->kernel->boot();
        $this->kernel->preHandle($request);
    }

    /**
     * Empties all caches and builds anew what Drupal keeps compiled: what `drush cache:rebuild` does.
     */
    public function rebuild(): void
    {
        drupal_flush_all_caches($this->kernel);
    }

    /**
     * Empties some caches, wherever they are.
     *
     * @param string[] $bins
     */
    public function forget(array $bins): void
    {
        foreach ($bins as $bin) {
            $service = "cache.$bin";
            if ($this->kernel->getContainer()->has($service)) {
                $this->kernel->getContainer()->get($service)->deleteAll();
            }
        }
    }

    private function request(): Request
    {
        $url = $this->site->url();
        if ($url === '') {
            $url = 'http://' . basename($this->site->sitePath());
        }
        $script = ['SCRIPT_NAME' => '/index.php', 'SCRIPT_FILENAME' => 'index.php'];
        return Request::create("$url/", 'GET', [], [], [], $script);
    }
}
