/**
 * @file
 * Sends a backup file in pieces, and goes on where an upload broke off.
 */
((Drupal, drupalSettings, once) => {
  /**
   * A name for the file that is the same when it is chosen again.
   *
   * @param {File} file
   *   The file that was chosen.
   *
   * @return {string}
   *   32 hexadecimal digits.
   */
  function idOf(file) {
    const text = `${file.name}\n${file.size}\n${file.lastModified}`;
    const parts = [0x811c9dc5, 0x1000193, 0x2545f491, 0x9e3779b9];
    for (let i = 0; i < text.length; i++) {
      for (let p = 0; p < parts.length; p++) {
        // eslint-disable-next-line no-bitwise
        parts[p] = Math.imul(parts[p] ^ (text.charCodeAt(i) + p), 0x01000193) >>> 0;
      }
    }
    return parts.map((part) => part.toString(16).padStart(8, '0')).join('');
  }

  /**
   * Sends a file, then the form.
   *
   * @param {HTMLFormElement} form
   *   The form.
   * @param {HTMLInputElement} input
   *   Its field with the file.
   * @param {HTMLElement|null} button
   *   The button that was pressed.
   */
  function send(form, input, button) {
    const file = input.files[0];
    const id = idOf(file);
    const settings = drupalSettings.bamUpload;
    const box = document.getElementById('bam-upload');
    const bar = document.createElement('progress');
    const line = document.createElement('p');
    const heard = document.createElement('p');
    let failures = 0;
    bar.max = 100;
    bar.setAttribute('aria-label', Drupal.t('Progress'));
    heard.className = 'visually-hidden';
    heard.setAttribute('role', 'status');
    box.replaceChildren(bar, line, heard);

    // How far it is; each tenth is heard, too.
    const tell = (percent) => {
      const text = (value) => Drupal.t('@percent % sent', { '@percent': value });
      line.textContent = text(percent);
      if (heard.textContent !== text(percent - (percent % 10))) {
        heard.textContent = text(percent - (percent % 10));
      }
    };

    const complain = (text) => {
      line.textContent = text;
      heard.textContent = text;
    };

    const piece = (offset) => {
      fetch(`${settings.url}?id=${id}&offset=${offset}&token=${encodeURIComponent(settings.token)}`, {
        method: 'POST',
        credentials: 'same-origin',
        headers: { 'Content-Type': 'application/octet-stream' },
        body: offset < 0 ? null : file.slice(offset, offset + settings.piece),
      }).then(
        (response) =>
          response
            .json()
            .catch(() => ({
              error: Drupal.t('The server answered @code.', { '@code': response.status }),
            }))
            .then((answer) => {
              if (answer.error || typeof answer.size !== 'number') {
                complain(answer.error || answer.message || String(response.status));
                return;
              }
              failures = 0;
              bar.value = file.size ? (100 * answer.size) / file.size : 100;
              tell(Math.floor(bar.value));
              if (answer.size < file.size) {
                piece(answer.size);
                return;
              }
              form.querySelector('.bam-uploaded').value = JSON.stringify({
                id,
                name: file.name,
                size: file.size,
              });
              // It is there already: it need not be sent a second time.
              input.value = '';
              if (button) {
                button.click();
              } else {
                form.submit();
              }
            }),
        () => {
          failures += 1;
          if (failures > 20) {
            complain(Drupal.t('The connection broke. Choose the same file again: it goes on where it stopped.'));
            return;
          }
          complain(Drupal.t('The connection broke; trying again.'));
          window.setTimeout(() => piece(offset), 1000 * failures);
        },
      );
    };
    // Asks how much is there; no piece begins before the start.
    piece(-1);
  }

  Drupal.behaviors.bamUpload = {
    attach(context) {
      once('bam-upload', 'input[name="files[file]"]', context).forEach((input) => {
        input.form.addEventListener('submit', (event) => {
          const there = input.form.querySelector('.bam-uploaded').value !== '';
          if (input.files.length && !there) {
            event.preventDefault();
            send(input.form, input, event.submitter);
          }
        });
      });
    },
  };
})(Drupal, drupalSettings, once);
