//! Views, triggers, routines and events as the dump has them: each with the session under which it was made, in an order in
//! which whatever one needs comes before it.
//!
//! Functions come first, since views call them, then views by what they show. Names say which view shows which; where
//! they say it in a ring, stand-ins of constants come before.

use crate::config::Connection;
use crate::source::mysql::connect::session::{Session, quote, string, text};
use crate::source::mysql::connect::wire;
use crate::source::mysql::schema::{BrokenView, Schema};
use crate::source::sql::{Charset, names_in, without_schema};
use crate::{Code, Fact, Monitor, NoteKind, Result};
use std::collections::{BTreeSet, HashMap};

/// What `SHOW CREATE` says.
struct Definition {
    create: Vec<u8>,
    /// The session's settings.
    settings: Vec<(&'static str, String)>,
    /// The database's collation at that time; empty for views.
    collation: String,
}

/// The text of them all, and how many there are.
#[derive(Debug, Default)]
pub(crate) struct Others {
    pub(crate) text: Vec<u8>,
    pub(crate) count: usize,
}

/// See the module. `lenient`: what cannot be read is a note.
pub(crate) fn others(
    connection: &Connection,
    lenient: bool,
    schema: &mut Schema,
    monitor: &Monitor,
) -> Result<Others> {
    let mut objects = Objects {
        connection,
        lenient,
        monitor,
        session: None,
        collation: String::new(),
        out: Others::default(),
        settings: Vec::new(),
    };
    if schema.views.is_empty()
        && schema.triggers.is_empty()
        && schema.routines.is_empty()
        && schema.events.is_empty()
    {
        return Ok(Others::default());
    }
    objects.collation = objects.ask("SELECT @@collation_database")?.pop().map(text).unwrap_or_default();
    for (kind, name) in &schema.routines {
        objects.object(kind, name)?;
    }
    objects.views(schema)?;
    for name in &schema.triggers {
        objects.object("TRIGGER", name)?;
    }
    for name in &schema.events {
        objects.object("EVENT", name)?;
    }
    Ok(objects.finish())
}

struct Objects<'a> {
    connection: &'a Connection,
    lenient: bool,
    monitor: &'a Monitor,
    session: Option<Session<'a>>,
    /// The database's.
    collation: String,
    out: Others,
    /// What was set last.
    settings: Vec<(&'static str, String)>,
}

impl Objects<'_> {
    /// The first row of the answer. An error ends the session; the next question gets another one.
    fn ask(&mut self, sql: &str) -> Result<Vec<Vec<u8>>> {
        Ok(self.rows(sql)?.into_iter().next().unwrap_or_default())
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(self.connection, Some(&self.connection.name), self.monitor)?,
        };
        let rows = session.rows(sql)?;
        self.session = Some(session);
        Ok(rows)
    }

    /// Writes a routine, trigger or event.
    fn object(&mut self, kind: &str, name: &str) -> Result<()> {
        match self.show(kind, name) {
            Ok(Some(definition)) => {
                self.definition(kind, name, &definition);
                Ok(())
            }
            Ok(None) => {
                let text = format!(
                    "{} {name} was left out: {} may not read it",
                    kind.to_lowercase(),
                    self.connection.user
                );
                self.monitor.note(NoteKind::Missing, text);
                Ok(())
            }
            Err(error) if self.lenient && error.code() != Code::Cancelled => {
                self.monitor.note(NoteKind::Missing, format!("{} {name}: {error}", kind.to_lowercase()));
                Ok(())
            }
            Err(error) => Err(error.within(Fact::Object, format!("{} {name}", kind.to_lowercase()))),
        }
    }

    /// What made an object; `None` where we may not know.
    fn show(&mut self, kind: &str, name: &str) -> Result<Option<Definition>> {
        let question = format!("SHOW CREATE {kind} {}", quote(name));
        // Name, mode, time zone, text, client's character set, collation of its strings, the database's.
        let (create, mode, zone) = match kind {
            "VIEW" => (1, None, None),
            "EVENT" => (3, Some(1), Some(2)),
            _ => (2, Some(1), None),
        };
        let mut row = self.ask(&question)?;
        let of = |row: &Vec<Vec<u8>>, at: usize| row.get(at).cloned().map(text).unwrap_or_default();
        let mut client = of(&row, create + 1);
        if row.get(create).is_none_or(|text| text == b"NULL") {
            return Ok(None);
        }
        if Charset::named(&client) != Charset::Plain {
            // Clients would take the second bytes of its characters for backslashes: as UTF-8 it says the same.
            "utf8mb4".clone_into(&mut client);
        } else if let Some(text) = self.named_in_utf8(name, &client, row.get(create))? {
            "utf8mb4".clone_into(&mut client);
            if let Some(create) = row.get_mut(create) {
                *create = text;
            }
        } else if !client.starts_with("utf8") {
            self.ask("SET character_set_results = binary")?;
            row = self.ask(&question)?;
            self.ask("SET character_set_results = utf8mb4")?;
        }
        let mut settings =
            vec![("character_set_client", client), ("collation_connection", of(&row, create + 2))];
        settings.extend(mode.map(|at| ("sql_mode", string(&of(&row, at)))));
        settings.extend(zone.map(|at| ("time_zone", string(&of(&row, at)))));
        let collation = if kind == "VIEW" { String::new() } else { of(&row, create + 3) };
        let create = row.into_iter().nth(create).ok_or_else(wire::shape)?;
        Ok(Some(Definition { create, settings, collation }))
    }

    /// Servers put the name in UTF-8 into text that is in the client's character set, and may then take all of it for that:
    /// gives the text in UTF-8. `None` where the name is the same in both.
    fn named_in_utf8(&mut self, name: &str, client: &str, text: Option<&Vec<u8>>) -> Result<Option<Vec<u8>>> {
        let Some(text) =
            text.filter(|_| !name.is_ascii() && !client.starts_with("utf8") && client != "binary")
        else {
            return Ok(None);
        };
        let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        let taken = self.ask(&format!("SELECT CONVERT(_{client} x'{hex}' USING utf8mb4)"))?.pop();
        let taken = quote(&String::from_utf8_lossy(&taken.unwrap_or_default()));
        let (text, own) = (String::from_utf8_lossy(text), quote(name));
        if text.contains(&taken) {
            return Ok(Some(text.replacen(&taken, &own, 1).into_bytes()));
        }
        Ok(text.contains(&own).then(|| text.into_owned().into_bytes()))
    }

    /// Views in their order; the broken ones go to `schema.broken`.
    fn views(&mut self, schema: &mut Schema) -> Result<()> {
        let mut found: Vec<(String, Definition)> = Vec::new();
        for name in std::mem::take(&mut schema.views) {
            let works = self.rows(&format!("SHOW FIELDS FROM {}", quote(&name))).map(drop);
            let shown = self.show("VIEW", &name);
            match (works, shown) {
                (Err(error), _) | (_, Err(error)) if error.code() == Code::Cancelled => return Err(error),
                (Ok(()), Ok(Some(definition))) => found.push((name, definition)),
                (Err(why), Ok(Some(definition))) => {
                    let text =
                        format!("view {name} does not work, so the backup has its definition alone: {why}");
                    self.monitor.note(NoteKind::Missing, text);
                    let definition = String::from_utf8_lossy(&definition.create).into_owned();
                    schema.broken.push(BrokenView { name, definition });
                }
                (_, Ok(None)) => return Err(wire::shape()),
                (works, Err(error)) => {
                    // A right that is missing: to show it, or at all.
                    let lenient = self.lenient || works.is_err();
                    if !lenient {
                        return Err(error.within(Fact::Object, format!("view {name}")));
                    }
                    self.monitor.note(NoteKind::Missing, format!("view {name} was left out: {error}"));
                    schema.excluded.push(name);
                }
            }
        }
        let texts: Vec<(&str, &[u8])> =
            found.iter().map(|(name, definition)| (name.as_str(), definition.create.as_slice())).collect();
        let (order, rings) = order(&texts);
        for &at in &rings {
            if let Some((name, _)) = found.get(at) {
                let name = name.clone();
                self.stand_in(&name)?;
            }
        }
        for at in order {
            let Some((name, definition)) = found.get(at) else { continue };
            self.definition("VIEW", name, definition);
        }
        schema.views = found.into_iter().map(|(name, _)| name).collect();
        Ok(())
    }

    fn stand_in(&mut self, name: &str) -> Result<()> {
        let fields = self.rows(&format!("SHOW FIELDS FROM {}", quote(name)))?;
        let names = fields.into_iter().filter_map(|row| row.into_iter().next()).map(text);
        let fields = names.map(|name| format!("1 AS {}", quote(&name)));
        let fields = fields.collect::<Vec<_>>().join(", ");
        self.set(&[("character_set_client", "utf8mb4".to_owned())]);
        let name = quote(name);
        self.write(
            format!("DROP VIEW IF EXISTS {name};\nCREATE VIEW {name} AS SELECT {fields};\n").as_bytes(),
        );
        Ok(())
    }

    /// Writes what makes an object, in the session under which it was made.
    fn definition(&mut self, kind: &str, name: &str, definition: &Definition) {
        self.out.count += 1;
        let other = !definition.collation.is_empty() && definition.collation != self.collation;
        if other {
            self.write(format!("ALTER DATABASE COLLATE {};\n", definition.collation).as_bytes());
        }
        self.set(&definition.settings);
        // A table's triggers have gone with it. Packages are known in Oracle's mode alone, so this comes after it.
        if kind != "TRIGGER" {
            self.write(format!("DROP {kind} IF EXISTS {};\n", quote(name)).as_bytes());
        }
        let own = without_schema(&definition.create, self.connection.name.as_bytes());
        let create = if kind == "VIEW" { &*own } else { &definition.create };
        let create = create.trim_ascii_end();
        match delimiter(create) {
            None => {
                self.write(create);
                self.write(b";\n");
            }
            Some(delimiter) => {
                self.write(format!("DELIMITER {delimiter}\n").as_bytes());
                self.write(create);
                self.write(format!("\n{delimiter}\nDELIMITER ;\n").as_bytes());
            }
        }
        if other {
            let back = format!("ALTER DATABASE COLLATE {};\n", self.collation);
            self.write(back.as_bytes());
        }
    }

    /// Sets what is not set already.
    fn set(&mut self, settings: &[(&'static str, String)]) {
        let new: Vec<&(&str, String)> =
            settings.iter().filter(|setting| !self.settings.contains(setting)).collect();
        if new.is_empty() {
            return;
        }
        let texts: Vec<String> = new.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for (name, value) in new {
            self.settings.retain(|(known, _)| known != name);
            self.settings.push((name, value.clone()));
        }
        self.write(format!("SET {};\n", texts.join(", ")).as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.out.text.extend_from_slice(bytes);
    }

    /// With the session as the header made it.
    fn finish(mut self) -> Others {
        self.write(b"SET NAMES utf8mb4, sql_mode='NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00';\n");
        self.out
    }
}

/// A delimiter that does not come in the text; `None` where a semicolon after it will do.
fn delimiter(text: &[u8]) -> Option<String> {
    let has = |what: &[u8]| memchr::memmem::find(text, what).is_some();
    // A comment at its end would swallow what stands on the same line.
    if ![b";".as_slice(), b"--", b"#"].iter().any(|what| has(what)) {
        return None;
    }
    let numbered = (1..).map(|number| format!("$bam{number}"));
    [";;", "$$", "//"].map(str::to_owned).into_iter().chain(numbered).find(|one| !has(one.as_bytes()))
}

/// The views' order, so that what a view names comes before it, and those that are named earlier than they come.
fn order(views: &[(&str, &[u8])]) -> (Vec<usize>, BTreeSet<usize>) {
    let places: HashMap<&[u8], usize> =
        views.iter().enumerate().map(|(at, (name, _))| (name.as_bytes(), at)).collect();
    let needs: Vec<BTreeSet<usize>> = views
        .iter()
        .enumerate()
        .map(|(at, (_, text))| {
            names_in(text)
                .iter()
                .filter_map(|name| places.get(&**name).copied())
                .filter(|&it| it != at)
                .collect()
        })
        .collect();
    let (mut order, mut rings) = (Vec::new(), BTreeSet::new());
    // 0: not seen, 1: on the way, 2: done.
    let mut states = vec![0_u8; views.len()];
    for first in 0..views.len() {
        let mut way = vec![(first, false)];
        while let Some((at, left)) = way.pop() {
            let Some(state) = states.get_mut(at) else { continue };
            if left {
                *state = 2;
                order.push(at);
                continue;
            }
            if *state > 0 {
                continue;
            }
            *state = 1;
            way.push((at, true));
            for &other in needs.get(at).into_iter().flatten() {
                match states.get(other) {
                    Some(0) => way.push((other, false)),
                    Some(1) => drop(rings.insert(other)),
                    _ => {}
                }
            }
        }
    }
    (order, rings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_come_after_what_they_show() {
        let views: [(&str, &[u8]); 4] = [
            ("a", b"CREATE VIEW `a` AS select `c`.`x` from `c` where 'd' = 1"),
            ("b", b"CREATE VIEW `b` AS select `x` from `t`"),
            ("c", b"CREATE VIEW `c` AS select `x` from `d` join `b`"),
            ("d", b"CREATE VIEW `d` AS select 1"),
        ];
        let (order, rings) = order(&views);
        let place = |at: usize| order.iter().position(|&it| it == at).unwrap();
        assert_eq!(order.len(), 4);
        assert!(place(2) < place(0) && place(1) < place(2) && place(3) < place(2));
        assert!(rings.is_empty());
        // By their names alone two views may seem to show each other.
        let views: [(&str, &[u8]); 2] = [("a", b"select `b` from `t`"), ("b", b"select `a` from `a`")];
        let (order, rings) = super::order(&views);
        assert_eq!((order.len(), rings.len()), (2, 1));
    }

    #[test]
    fn a_delimiter_that_is_not_in_the_text() {
        assert_eq!(delimiter(b"select 1"), None);
        assert_eq!(delimiter(b"begin select 1; end").as_deref(), Some(";;"));
        assert_eq!(delimiter(b"begin select ';;'; end -- x").as_deref(), Some("$$"));
        assert_eq!(delimiter(b";; $$ // $bam1").as_deref(), Some("$bam2"));
    }
}
