/**
 * @file
 * Sends a backup file in pieces, and goes on where an upload broke off.
 */

(function ($) {
  'use strict';

  /**
   * A name for the file that is the same when it is chosen again.
   */
  function idOf(file) {
    var text = file.name + '\n' + file.size + '\n' + file.lastModified;
    var parts = [0x811c9dc5, 0x1000193, 0x2545f491, 0x9e3779b9];
    for (var i = 0; i < text.length; i++) {
      for (var p = 0; p < parts.length; p++) {
        parts[p] = Math.imul(parts[p] ^ (text.charCodeAt(i) + p), 0x01000193) >>> 0;
      }
    }
    return parts.map(function (part) {
      return ('0000000' + part.toString(16)).slice(-8);
    }).join('');
  }

  Drupal.behaviors.bamUpload = {
    attach: function (context, settings) {
      $('input[name="files[file]"]', context).closest('form').once('bam-upload', function () {
        var form = this;
        var input = form.querySelector('input[name="files[file]"]');
        var told = form.querySelector('.bam-uploaded');
        var box = document.getElementById('bam-upload');
        if (!told || !window.XMLHttpRequest || !window.Blob || !Math.imul) {
          return;
        }
        $(form).submit(function (event) {
          var file = input.files && input.files[0];
          if (!file || told.value !== '') {
            return;
          }
          event.preventDefault();
          if (!file.size) {
            box.textContent = Drupal.t('The file is empty.');
            return;
          }
          send(form, file, told, box, settings.bamUpload, event.originalEvent && event.originalEvent.submitter);
        });
      });
    }
  };

  function send(form, file, told, box, settings, button) {
    var id = idOf(file);
    var failures = 0;
    var bar = document.createElement('progress');
    var line = document.createElement('p');
    bar.max = 100;
    box.innerHTML = '';
    box.appendChild(bar);
    box.appendChild(line);
    var heard = document.createElement('p');
    heard.className = 'element-invisible';
    heard.setAttribute('role', 'status');
    box.appendChild(heard);
    bar.setAttribute('aria-label', Drupal.t('Progress'));

    /**
     * Shows how far it is; each tenth is heard, too.
     */
    function tell(percent) {
      line.textContent = Drupal.t('@percent % sent', {'@percent': percent});
      var tenth = Drupal.t('@percent % sent', {'@percent': percent - percent % 10});
      if (heard.textContent !== tenth) {
        heard.textContent = tenth;
      }
    }

    /**
     * Says what went wrong.
     */
    function complain(text) {
      line.textContent = text;
      heard.textContent = text;
    }

    function piece(offset) {
      var request = new XMLHttpRequest();
      request.open('POST', settings.url + (settings.url.indexOf('?') < 0 ? '?' : '&') + 'id=' + id + '&offset=' + offset + '&token=' + encodeURIComponent(settings.token));
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      request.onload = function () {
        var answer = {};
        try {
          answer = JSON.parse(request.responseText);
        }
        catch (e) {
          answer.error = Drupal.t('The server answered @code.', {'@code': request.status});
        }
        if (answer.error || typeof answer.size !== 'number') {
          complain(answer.error);
          return;
        }
        failures = 0;
        bar.value = file.size ? 100 * answer.size / file.size : 100;
        tell(Math.floor(bar.value));
        if (answer.size < file.size) {
          piece(answer.size);
        }
        else {
          told.value = JSON.stringify({id: id, name: file.name, size: file.size});
          // It is there already: it need not be sent a second time.
          form.querySelector('input[name="files[file]"]').value = '';
          if (button) {
            button.click();
          }
          else {
            form.submit();
          }
        }
      };
      request.onerror = function () {
        failures++;
        if (failures > 20) {
          complain(Drupal.t('The connection broke. Choose the same file again: it goes on where it stopped.'));
          return;
        }
        complain(Drupal.t('The connection broke; trying again.'));
        setTimeout(function () {
          piece(offset);
        }, 1000 * failures);
      };
      request.send(offset < 0 ? new Blob([]) : file.slice(offset, offset + settings.piece));
    }
    // Asks how much is there; no piece begins before the start.
    piece(-1);
  }
})(jQuery);
