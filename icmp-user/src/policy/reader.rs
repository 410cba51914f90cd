//! Taking values out of a parsed TOML document: what isn't there, isn't known or isn't of the right
//! kind is noted with its place, and reading goes on.

use super::Layer;
use super::error::{Findings, nearest, one_of, quoted};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A range of octets of the text.
pub(super) type Span = Range<usize>;

/// A key that a later version of the program will know, and what it is for.
pub(super) type LaterKey = (&'static str, &'static str);

/// Where mistakes go, and whose text is being read.
#[derive(Debug)]
pub(super) struct Reader {
    pub findings: Findings,
    pub layer: Layer,
}

/// A value and its place.
pub(super) type Value<'t, 'i> = &'t Spanned<DeValue<'i>>;

impl Reader {
    /// Whether this is the operator's own file, which can't use what isn't in force yet. A profile
    /// can: what it says is put in force as versions learn it.
    pub fn is_operator(&self) -> bool {
        self.layer == Layer::Operator
    }

    /// Notes something that is wrong, and what was expected.
    pub fn expected(
        &mut self,
        span: Span,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.findings.add(span, message.into(), Some(expected.into()));
    }

    /// Notes that this version doesn't have something yet.
    pub fn later(&mut self, span: Span, what: &str, expected: impl Into<String>) {
        self.findings.add(
            span,
            format!("this version does not have {what} yet"),
            Some(expected.into()),
        );
    }

    /// Notes a key that has to be there and isn't.
    pub fn missing(&mut self, span: Span, key: &str, of: &str, expected: &str) {
        // Where the syntax is broken, what is missing may only be unreadable.
        if !self.findings.has_syntax_errors() {
            self.expected(span, format!("{of} has no `{key}`"), expected);
        }
    }

    /// Notes every key of a table that is none of `known`.
    pub fn known_keys(
        &mut self,
        table: &DeTable<'_>,
        of: &str,
        known: &[&'static str],
        later: &[LaterKey],
    ) {
        for key in table.keys() {
            let word = key.get_ref().as_ref();
            if known.contains(&word) {
                continue;
            }
            let expected = one_of(known.iter().copied());
            if let Some((_, what)) = later.iter().find(|(k, _)| *k == word) {
                self.later(key.span(), what, expected);
                continue;
            }
            let message = format!("unknown key {} of {of}", quoted(word));
            let expected = self.suggest(word, known.iter().copied(), expected);
            self.expected(key.span(), message, expected);
        }
    }

    /// The value of a key, with the place of the key.
    pub fn get<'t, 'i>(&self, table: &'t DeTable<'i>, key: &str) -> Option<(Span, Value<'t, 'i>)> {
        table.get_key_value(key).map(|(k, v)| (k.span(), v))
    }

    /// The string that a value is.
    pub fn string<'t>(&mut self, value: Value<'t, '_>, expected: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind(value, expected);
        }
        text
    }

    /// The table that a value is.
    pub fn table<'t, 'i>(
        &mut self,
        value: Value<'t, 'i>,
        expected: &str,
    ) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_kind(value, expected);
        }
        table
    }

    /// The items of a value that may be an array or stand for its only item.
    pub fn one_or_more<'t, 'i>(&self, value: Value<'t, 'i>) -> Vec<Value<'t, 'i>> {
        match value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => vec![value],
        }
    }

    /// The choice that a value names.
    pub fn choice<T: Copy>(
        &mut self,
        value: Value<'_, '_>,
        what: &str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let expected = one_of(choices.iter().map(|(label, _)| *label));
        let word = self.string(value, &expected)?;
        let found = choices.iter().find(|(label, _)| *label == word).map(|(_, choice)| *choice);
        if found.is_none() {
            let message = format!("unknown {what} {}", quoted(word));
            let labels = choices.iter().map(|(label, _)| *label);
            let expected = self.suggest(word, labels, expected);
            self.expected(value.span(), message, expected);
        }
        found
    }

    /// The whole number that a value is, where it fits.
    pub fn integer(&mut self, value: Value<'_, '_>, expected: &str) -> Option<i128> {
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_kind(value, expected);
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none() {
            self.expected(value.span(), "this number is out of range", expected);
        }
        number
    }

    /// Whether a value says yes.
    pub fn boolean(&mut self, value: Value<'_, '_>) -> Option<bool> {
        let is = value.get_ref().as_bool();
        if is.is_none() {
            self.wrong_kind(value, "true or false");
        }
        is
    }

    /// Notes a value of the wrong kind.
    pub fn wrong_kind(&mut self, value: Value<'_, '_>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.expected(value.span(), format!("{found} does not belong here"), expected);
    }

    /// What was expected, and the word that was probably meant.
    pub fn suggest<'a>(
        &self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
        expected: String,
    ) -> String {
        let meant = if self.findings.is_plenty() { None } else { nearest(word, known) };
        match meant {
            Some(meant) => format!("{expected} (did you mean `{meant}`?)"),
            None => expected,
        }
    }
}
