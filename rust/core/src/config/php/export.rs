//! Exports as PHP source: a literal, or code that assigns literals, as Features and CTools write it into
//! `MODULE.backup_migrate_exportables.inc`.
//!
//! ```text
//! file       = [ "<?php" ] { function | statement } [ "?>" ]
//! function   = "function" NAME "(" ")" "{" { statement } "}"
//! statement  = VARIABLE target { target } "=" value ";" | "return" value ";" | value ";"
//! target     = "->" NAME | "[" [ value ] "]"
//! value      = literal | VARIABLE | "new" NAME [ "(" ")" ]
//! ```
//!
//! A variable stands for what was assigned to it; taking it moves it, so that nothing can change an item that has
//! been exported already.

use super::lexer::{Lexer, Token};
use super::{DEEPEST, Entries, PhpKey, PhpValue};
use crate::{Code, Error, Result};
use std::collections::BTreeMap;

/// Bytes. Real ones have a few thousand.
const LONGEST: usize = 1 << 20;

/// One exported value.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The function that returned it, which names a Drupal hook; none for a bare value.
    pub function: Option<String>,
    /// The value.
    pub value: PhpValue,
}

/// Reads an export. Errors tell line and column, what is there and what was expected.
///
/// Of code without a function and without `return`, the export is what its variables hold at the end.
pub fn parse_export(text: &[u8]) -> Result<Vec<Export>> {
    if text.len() > LONGEST {
        return Err(Error::new(
            Code::Config,
            format!("an export has at most {LONGEST} bytes: this is something else"),
        ));
    }
    let mut parser = Parser { lexer: Lexer::new(text)?, variables: BTreeMap::new(), depth: 0 };
    let mut exports = Vec::new();
    while *parser.lexer.token() != Token::End {
        if parser.at_name("function") {
            exports.push(parser.function()?);
        } else if let Some(value) = parser.statement()? {
            exports.push(Export { function: None, value });
        }
    }
    exports.extend(parser.variables.into_values().map(|value| Export { function: None, value }));
    if exports.is_empty() {
        return Err(parser.lexer.unexpected("an export, such as array (…)"));
    }
    Ok(exports)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    variables: BTreeMap<String, PhpValue>,
    depth: usize,
}

/// What is assigned to, from a variable on.
enum Step {
    Property(Vec<u8>),
    Key(PhpKey),
    Append,
}

impl Parser<'_> {
    fn at_sign(&self, sign: &str) -> bool {
        matches!(self.lexer.token(), Token::Sign(found) if *found == sign)
    }

    fn at_name(&self, name: &str) -> bool {
        matches!(self.lexer.token(), Token::Name(found) if found.eq_ignore_ascii_case(name))
    }

    fn skip(&mut self, sign: &str) -> Result<bool> {
        let there = self.at_sign(sign);
        if there {
            self.lexer.take()?;
        }
        Ok(there)
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.skip(sign)? { Ok(()) } else { Err(self.lexer.unexpected(&format!("\"{sign}\""))) }
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match self.lexer.token() {
            Token::Name(_) => match self.lexer.take()? {
                Token::Name(name) => Ok(name),
                _ => Err(self.lexer.unexpected(what)),
            },
            _ => Err(self.lexer.unexpected(what)),
        }
    }

    fn function(&mut self) -> Result<Export> {
        self.lexer.take()?;
        let name = self.name("the function's name")?;
        self.expect("(")?;
        self.expect(")")?;
        self.expect("{")?;
        let outside = std::mem::take(&mut self.variables);
        let mut returned = None;
        while !self.skip("}")? {
            if returned.is_some() {
                return Err(self.lexer.unexpected("\"}\" after the return"));
            }
            returned = self.statement()?;
        }
        self.variables = outside;
        Ok(Export { function: Some(name), value: returned.unwrap_or(PhpValue::Null) })
    }

    /// One statement; gives what it returns, or the value that it is.
    fn statement(&mut self) -> Result<Option<PhpValue>> {
        if self.skip(";")? {
            return Ok(None);
        }
        if self.at_name("return") {
            self.lexer.take()?;
            let value = if self.at_sign(";") { PhpValue::Null } else { self.value()? };
            return self.end_of_statement().map(|()| Some(value));
        }
        if matches!(self.lexer.token(), Token::Variable(_)) {
            let Token::Variable(name) = self.lexer.take()? else { return Ok(None) };
            self.assignment(name)?;
            return Ok(None);
        }
        let value = self.value()?;
        self.end_of_statement().map(|()| Some(value))
    }

    fn end_of_statement(&mut self) -> Result<()> {
        // B&M's exports have no semicolon.
        if *self.lexer.token() == Token::End { Ok(()) } else { self.expect(";") }
    }

    fn assignment(&mut self, variable: String) -> Result<()> {
        let mut steps = Vec::new();
        loop {
            if self.skip("->")? {
                steps.push(Step::Property(self.name("a property")?.into_bytes()));
            } else if self.skip("[")? {
                if self.skip("]")? {
                    steps.push(Step::Append);
                } else {
                    steps.push(Step::Key(self.key()?));
                    self.expect("]")?;
                }
            } else {
                break;
            }
        }
        self.expect("=")?;
        let value = self.value()?;
        if steps.len() + value.depth() > DEEPEST {
            return Err(self.too_deep());
        }
        let mut slot = match (steps.is_empty(), self.variables.get_mut(&variable)) {
            (true, _) => {
                self.variables.insert(variable, value);
                return self.end_of_statement();
            }
            (false, Some(slot)) => slot,
            (false, None) => {
                // PHP makes an array of an unset variable; an object must be there.
                let first_is_property = matches!(steps.first(), Some(Step::Property(_)));
                if first_is_property {
                    return Err(self
                        .lexer
                        .unexpected(&format!("${variable} = new stdClass(); before its properties")));
                }
                self.variables.entry(variable).or_insert(PhpValue::Array(Vec::new()))
            }
        };
        for step in steps {
            slot = match descend(slot, step) {
                Some(next) => next,
                None => return Err(self.lexer.unexpected("an object before -> and an array before [")),
            };
        }
        *slot = value;
        self.end_of_statement()
    }

    fn key(&mut self) -> Result<PhpKey> {
        let value = self.value()?;
        PhpKey::from_value(&value).ok_or_else(|| self.lexer.unexpected("a key that is a number or a string"))
    }

    fn value(&mut self) -> Result<PhpValue> {
        if self.depth >= DEEPEST {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let value = self.value_inside();
        self.depth -= 1;
        value
    }

    fn too_deep(&self) -> Error {
        self.lexer.unexpected(&format!("at most {DEEPEST} levels of nesting"))
    }

    fn value_inside(&mut self) -> Result<PhpValue> {
        match self.lexer.token() {
            Token::String(_) => self.string(),
            Token::Int(_) | Token::Float(_) => self.number(false),
            Token::Sign("-" | "+") => {
                let negative = self.lexer.take()? == Token::Sign("-");
                if self.at_name("INF") {
                    self.lexer.take()?;
                    return Ok(PhpValue::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
                }
                self.number(negative)
            }
            Token::Sign("[") => {
                self.lexer.take()?;
                self.entries("]").map(PhpValue::Array)
            }
            Token::Sign("(") => self.cast(),
            Token::Variable(name) => {
                let name = name.clone();
                match self.variables.remove(&name) {
                    Some(value) if self.depth + value.depth() > DEEPEST => Err(self.too_deep()),
                    Some(value) => {
                        self.lexer.take()?;
                        Ok(value)
                    }
                    None => Err(self.lexer.unexpected("a value (this variable holds none)")),
                }
            }
            Token::Name(_) => self.named(),
            _ => Err(self.lexer.unexpected("a value")),
        }
    }

    /// A string. `var_export` writes NUL bytes as `'a' . "\0" . 'b'`: literals may be joined, nothing else.
    fn string(&mut self) -> Result<PhpValue> {
        let Token::String(mut bytes) = self.lexer.take()? else {
            return Err(self.lexer.unexpected("a string"));
        };
        while self.skip(".")? {
            match self.lexer.token() {
                Token::String(_) => {
                    if let Token::String(more) = self.lexer.take()? {
                        bytes.extend(more);
                    }
                }
                _ => return Err(self.lexer.unexpected("a string after \".\"")),
            }
        }
        Ok(PhpValue::String(bytes))
    }

    fn number(&mut self, negative: bool) -> Result<PhpValue> {
        let number = match self.lexer.token() {
            Token::Int(number) => PhpValue::Int(if negative { -*number } else { *number }),
            Token::Float(number) => PhpValue::Float(if negative { -*number } else { *number }),
            _ => return Err(self.lexer.unexpected("a number")),
        };
        self.lexer.take()?;
        // How var_export writes the smallest integer: -9223372036854775807-1.
        if number == PhpValue::Int(-i64::MAX) && self.at_sign("-") {
            self.lexer.take()?;
            if *self.lexer.token() != Token::Int(1) {
                return Err(self.lexer.unexpected("1"));
            }
            self.lexer.take()?;
            return Ok(PhpValue::Int(i64::MIN));
        }
        Ok(number)
    }

    /// `(object) array (…)`, `(array) …`
    fn cast(&mut self) -> Result<PhpValue> {
        self.lexer.take()?;
        let to_object = self.at_name("object");
        if !to_object && !self.at_name("array") {
            return Err(self.lexer.unexpected("(object) or (array)"));
        }
        self.lexer.take()?;
        self.expect(")")?;
        match (self.value()?, to_object) {
            (PhpValue::Array(entries), true) => Ok(PhpValue::Object(b"stdClass".to_vec(), entries)),
            (PhpValue::Object(_, entries) | PhpValue::Array(entries), false) => Ok(PhpValue::Array(entries)),
            (object @ PhpValue::Object(..), true) => Ok(object),
            _ => Err(self.lexer.unexpected("an array after the cast")),
        }
    }

    /// `TRUE`, `array (…)`, `new stdClass()`, `stdClass::__set_state(array (…))`.
    fn named(&mut self) -> Result<PhpValue> {
        let Token::Name(name) = self.lexer.token() else { return Err(self.lexer.unexpected("a value")) };
        let name = name.trim_start_matches('\\').to_owned();
        match name.to_ascii_lowercase().as_str() {
            "null" => self.lexer.take().map(|_| PhpValue::Null),
            "true" => self.lexer.take().map(|_| PhpValue::Bool(true)),
            "false" => self.lexer.take().map(|_| PhpValue::Bool(false)),
            "inf" => self.lexer.take().map(|_| PhpValue::Float(f64::INFINITY)),
            "nan" => self.lexer.take().map(|_| PhpValue::Float(f64::NAN)),
            "array" => {
                self.lexer.take()?;
                self.expect("(")?;
                self.entries(")").map(PhpValue::Array)
            }
            "new" => {
                self.lexer.take()?;
                let class = self.name("a class")?;
                if self.skip("(")? {
                    self.expect(")")?;
                }
                Ok(PhpValue::Object(class.trim_start_matches('\\').into(), Vec::new()))
            }
            _ => self.set_state(name),
        }
    }

    fn set_state(&mut self, class: String) -> Result<PhpValue> {
        const EXPECTED: &str = "a value: a string, a number, TRUE, FALSE, NULL or array (…)";
        let before = self.lexer.unexpected(EXPECTED);
        self.lexer.take()?;
        if !self.skip("::")? {
            return Err(before);
        }
        if !self.at_name("__set_state") {
            return Err(self.lexer.unexpected("__set_state"));
        }
        self.lexer.take()?;
        self.expect("(")?;
        let PhpValue::Array(properties) = self.value()? else {
            return Err(self.lexer.unexpected("an array of properties"));
        };
        self.skip(",")?;
        self.expect(")")?;
        Ok(PhpValue::Object(class.into_bytes(), properties))
    }

    /// The entries of an array up to `close`.
    fn entries(&mut self, close: &str) -> Result<Vec<(PhpKey, PhpValue)>> {
        let mut entries = Entries::default();
        let mut next = 0;
        while !self.skip(close)? {
            let value = self.value()?;
            let is_pair = self.at_sign("=>");
            let (key, value) = if is_pair {
                let Some(key) = PhpKey::from_value(&value) else {
                    return Err(self.lexer.unexpected("a key that is a number or a string before it"));
                };
                self.lexer.take()?;
                (key, self.value()?)
            } else {
                (PhpKey::Int(next), value)
            };
            next = next_index(next, &key);
            entries.insert(key, value);
            if !self.skip(",")? && !self.at_sign(close) {
                let arrow = if is_pair { "" } else { "\"=>\", " };
                return Err(self.lexer.unexpected(&format!("{arrow}\",\" or \"{close}\"")));
            }
        }
        Ok(entries.entries)
    }
}

/// The number that PHP gives the next value without a key.
fn next_index(next: i64, key: &PhpKey) -> i64 {
    match key {
        PhpKey::Int(number) if *number >= next => number.saturating_add(1),
        _ => next,
    }
}

/// The place that a step leads to, made where it is missing.
fn descend(slot: &mut PhpValue, step: Step) -> Option<&mut PhpValue> {
    let (entries, key) = match (slot, step) {
        (PhpValue::Object(_, entries), Step::Property(name)) => (entries, PhpKey::from_bytes(&name)),
        (PhpValue::Array(entries), Step::Key(key)) => (entries, key),
        (PhpValue::Array(entries), Step::Append) => {
            let next = entries.iter().fold(0, |next, (key, _)| next_index(next, key));
            (entries, PhpKey::Int(next))
        }
        _ => return None,
    };
    let index = entries.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        entries.push((key, PhpValue::Array(Vec::new())));
        entries.len() - 1
    });
    entries.get_mut(index).map(|(_, value)| value)
}
