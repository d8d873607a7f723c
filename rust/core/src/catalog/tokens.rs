//! Tokens in file names, descriptions and messages: `[site:name]`, `[current-date:custom:Y-m-d]` and their kin, as
//! Drupal 7's token system knows them.

use super::date;
use crate::config::Site;
use jiff::Zoned;

/// What tokens are replaced from.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `[site:name]`
    pub site_name: String,
    /// `[site:mail]`
    pub site_mail: String,
    /// `[site:url]`
    pub site_url: String,
    /// `[current-date:…]`
    pub now: Zoned,
}

impl Tokens {
    /// The tokens of a site at a moment (Unix time), in the site's time zone.
    pub fn of(site: &Site, now: i64) -> Self {
        Tokens {
            site_name: site.name.clone(),
            site_mail: site.mail.clone(),
            site_url: crate::config::hide(&site.url),
            now: date::at(now, &date::zone(site.timezone.as_deref())),
        }
    }

    /// `text` with its tokens replaced. Unknown ones stay as they are, as in Drupal.
    pub fn replace(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('[') {
            let (before, token) = rest.split_at(open);
            replaced.push_str(before);
            // A bracket inside begins a new token: [[site:name]] is [ + token + ].
            let inner = token.get(1..).unwrap_or_default();
            match inner.find(['[', ']']).filter(|end| inner[*end..].starts_with(']')) {
                Some(end) => {
                    let name = &inner[..end];
                    match self.value(name) {
                        Some(value) => replaced.push_str(&value),
                        None => replaced.push_str(&token[..end + 2]),
                    }
                    rest = &inner[end + 1..];
                }
                None => {
                    replaced.push('[');
                    rest = inner;
                }
            }
        }
        replaced.push_str(rest);
        replaced
    }

    /// The value of `site:name`, without the brackets.
    fn value(&self, token: &str) -> Option<String> {
        let (kind, rest) = token.split_once(':').unwrap_or((token, ""));
        match (kind, rest) {
            ("site", "name") => Some(self.site_name.clone()),
            ("site", "mail") => Some(self.site_mail.clone()),
            ("site", "url") => Some(self.site_url.clone()),
            ("site", "url-brief") => {
                let brief = self.site_url.split_once("://").map_or(self.site_url.as_str(), |(_, rest)| rest);
                Some(brief.trim_end_matches('/').to_owned())
            }
            ("current-date", rest) => self.date(rest),
            _ => None,
        }
    }

    /// Drupal 7's own formats (`date_format_short` …) at their defaults; without one, the medium one.
    fn date(&self, rest: &str) -> Option<String> {
        let pattern = match rest {
            "short" => "m/d/Y - H:i",
            "medium" | "" => "D, m/d/Y - H:i",
            "long" => "l, F j, Y - H:i",
            "raw" | "timestamp" => "U",
            custom => custom.strip_prefix("custom:")?,
        };
        Some(date::format(pattern, &self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(text: &str) -> String {
        let site = Site {
            name: "PECE Lab".into(),
            mail: "admin@example.org".into(),
            url: "https://example.org/lab/".into(),
            timezone: Some("Europe/Berlin".into()),
            ..Site::default()
        };
        Tokens::of(&site, 1_795_391_457).replace(text)
    }

    #[test]
    fn known_tokens_are_replaced() {
        assert_eq!(replace("[site:name] <[site:mail]>"), "PECE Lab <admin@example.org>");
        assert_eq!(replace("[site:url-brief]"), "example.org/lab");
        assert_eq!(replace("[current-date:custom:Y-m-d\\TH:i]"), "2026-11-23T00:50", "in the site's zone");
        assert_eq!(
            replace("[current-date:short]|[current-date]|[current-date:raw]"),
            "11/23/2026 - 00:50|Mon, 11/23/2026 - 00:50|1795391457"
        );
    }

    #[test]
    fn what_is_no_token_stays() {
        for text in ["[node:title]", "[site:]", "[", "]", "[]", "a [b", "[current-date:custom]", "é[é"] {
            assert_eq!(replace(text), text);
        }
        assert_eq!(replace("[[site:name]]"), "[PECE Lab]");
        assert_eq!(replace("[x[site:name]"), "[xPECE Lab");
    }
}
