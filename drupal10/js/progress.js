/**
 * @file
 * Keeps the progress of a running job up to date.
 */
((Drupal, drupalSettings, once) => {
  Drupal.behaviors.bamProgress = {
    attach(context) {
      once('bam-progress', '.bam-progress', context).forEach((box) => {
        const part = (name) => box.querySelector(name);

        const later = () => {
          window.setTimeout(ask, drupalSettings.bam.every);
        };

        const show = (job) => {
          if (job.finished) {
            // The page itself tells what came of it.
            window.location.reload();
            return;
          }
          part('.bam-phase').textContent = job.phase;
          if (part('.bam-heard').textContent !== job.heard) {
            part('.bam-heard').textContent = job.heard;
          }
          part('.bam-detail').textContent = job.detail;
          part('.bam-current').textContent = job.current;
          if (job.percent === null) {
            part('progress').removeAttribute('value');
          } else {
            part('progress').setAttribute('value', job.percent);
          }
          later();
        };

        function ask() {
          fetch(drupalSettings.bam.status, {
            credentials: 'same-origin',
            cache: 'no-store',
          })
            .then((response) => response.json())
            .then(show)
            // While a database is being exchanged the site may not answer.
            .catch(later);
        }

        later();
      });
    },
  };
})(Drupal, drupalSettings, once);
