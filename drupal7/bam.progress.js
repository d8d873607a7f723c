/**
 * @file
 * Keeps the progress of a running job up to date.
 */
(function ($) {
  'use strict';

  Drupal.behaviors.bamProgress = {
    attach: function (context, settings) {
      $('#bam-progress', context).once('bam-progress', function () {
        var $box = $(this);

        function show(job) {
          if (job.finished) {
            // The page itself tells what came of it.
            window.location.reload();
            return;
          }
          $box.find('.bam-phase').text(job.phase);
          $box.find('.bam-detail').text(job.detail);
          var $heard = $box.find('.bam-heard');
          if ($heard.text() !== job.heard) {
            $heard.text(job.heard);
          }
          $box.find('.bam-current').text(job.current);
          if (job.percent === null) {
            $box.find('progress').removeAttr('value');
          }
          else {
            $box.find('progress').attr('value', job.percent);
          }
          later();
        }

        function ask() {
          $.ajax({
            url: settings.bam.status,
            dataType: 'json',
            cache: false,
            success: show,
            // While a database is being exchanged the site may not answer.
            error: later
          });
        }

        function later() {
          window.setTimeout(ask, settings.bam.every);
        }

        later();
      });
    }
  };
})(jQuery);
