<?php

namespace Bam;

/**
 * Drupal 7's registry: in which file each module and each class is.
 */
final class Registry
{
    /**
     * Rebuilds it for a site that does not start because files are elsewhere than the registry says: a database from
     * before a module was moved. What the project registry_rebuild 7.x does: no module is loaded, so none can fail.
     *
     * Needs a Drupal that is bootstrapped to its variables.
     */
    public static function rebuild(): void
    {
        foreach (['common', 'unicode', 'file', 'entity', 'menu', 'theme', 'path', 'registry'] as $name) {
            require_once DRUPAL_ROOT . "/includes/$name.inc";
        }
        require_once DRUPAL_ROOT . '/modules/system/system.module';
        // Only these are known to be where they are; module_implements() asks among them.
        $fixed = [];
        foreach (['system', 'user'] as $name) {
            $fixed[$name] = ['filename' => "modules/$name/$name.module"];
        }
        module_list(true, false, false, $fixed);
        foreach (['cache', 'cache_bootstrap'] as $bin) {
            cache_clear_all('*', $bin, true);
        }
        system_rebuild_module_data();
        // Now from the database, where the files are right again.
        system_list_reset();
        module_list(true);
        registry_update();
        foreach (['cache', 'cache_bootstrap'] as $bin) {
            cache_clear_all('*', $bin, true);
        }
    }
}
