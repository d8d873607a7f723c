/* The configuration document, and what a backup request means. */
#include "check.h"

static const char *SITE =
    "{\"site\": {\"root\": \"/var/www\"},"
    " \"databases\": {\"db\": {\"url\": \"mysql://user:hunter2@localhost/d7\"}},"
    " \"sources\": {\"pece_bkp\": {\"type\": \"files\", \"path\": \"public://\"}},"
    " \"destinations\": {\"manual\": {\"type\": \"directory\", \"path\": \"/srv/backups\"}},"
    " \"profiles\": {\"pece_backup\": {\"site_offline\": true, \"site_offline_message\": \"Soon.\","
    "                \"sources\": {\"pece_bkp\": {}}}}}";

static bam_status choose(const char *what, char **choice) {
  static const char *pattern = "{\"config\": %s, \"request\": {\"job\": \"backup\", \"what\": \"%s\"}}";
  return bam_backup_choose(format(pattern, SITE, what), choice);
}

int main(void) {
  char *text = NULL;
  CHECK_OK(bam_config_complete(SITE, false, &text));
  CHECK(strstr(text, "\"archive\"") != NULL && strstr(text, "\"default\"") != NULL);
  CHECK(strstr(text, "hunter2") == NULL);
  bam_string_free(text);
  CHECK_OK(bam_config_complete(SITE, true, &text));
  CHECK(strstr(text, "hunter2") != NULL);
  bam_string_free(text);

  CHECK_OK(bam_config_check(SITE, &text));
  CHECK(text[0] == '[');
  bam_string_free(text);
  CHECK_FAILS(bam_config_check("{\"destination\": {}}", &text), BAM_STATUS_CONFIG, "destination");
  CHECK_FAILS(bam_config_check("{\"schedules\": {\"s\": {\"source\": \"gone\"}}}", &text), BAM_STATUS_CONFIG, "gone");

  static const char *EXPORT =
      "array('type_name' => 'destination', 'machine_name' => 'd', 'subtype' => 'file', 'location' => '/srv')";
  CHECK_OK(bam_settings_parse(EXPORT, &text));
  CHECK(strstr(text, "\"document\":{\"type\":\"directory\"") != NULL);
  bam_string_free(text);
  CHECK_FAILS(bam_settings_parse("array(\n  system('ls'),\n)", &text), BAM_STATUS_CONFIG, "line 2");

  CHECK_OK(choose("pece_bkp", &text));
  CHECK(strstr(text, "\"profile\":\"pece_backup\"") != NULL);
  CHECK(strstr(text, "\"destinations\":[\"manual\"]") != NULL);
  CHECK(strstr(text, "\"site_offline\":true") != NULL);
  bam_string_free(text);
  CHECK_FAILS(choose("pece_bkb", &text), BAM_STATUS_USAGE, "pece_bkb");
  bam_error error;
  CHECK_OK(bam_last_error(&error));
  CHECK(strstr(error.hint, "pece_bkp") != NULL && error.exit_code == 2);
  return 0;
}
