//! What isn't TOML: one mistake, one message.
//!
//! The parser recovers well inside a line. A list that is never closed, or a header that isn't,
//! makes of the rest of the file what nobody wrote; so the statement is taken out, with what stands
//! below it up to the next header, and the text is parsed again. Offsets stay what they are.

use super::error::{Findings, quoted};
use super::reader::Span;
use toml::de::{DeTable, DeValue};

/// How often a text is parsed again: each time, one list fewer is open.
const ROUNDS: usize = 16;

/// Notes what isn't TOML, and returns a text that is, or nearly: of the same length, or
/// empty where hardly anything is.
pub(super) fn repair(text: &str, findings: &mut Findings) -> String {
    let mut text = text.to_owned();
    for round in 0..=ROUNDS {
        let (root, errors) = DeTable::parse_recoverable(&text);
        let root = root.get_ref();
        let mut taken_out: Vec<Span> = Vec::new();
        if errors.iter().any(is_never_closed)
            && let Some(value) = last_statement(root)
        {
            let closing = if text[value..].starts_with('{') { "`}`" } else { "`]`" };
            let message = "what is opened here is never closed".to_owned();
            findings.add(value..value + 1, message, Some(closing.to_owned()));
            taken_out.push(block(&text, value));
        } else {
            // An open list may be what breaks these, so they come when all are closed.
            for error in errors.iter().filter(|e| is_broken_header(e)) {
                let span = error.span().unwrap_or(0..0);
                taken_out.push(block(&text, span.start));
                note(findings, error);
            }
        }
        if taken_out.is_empty() || round == ROUNDS {
            note_all(findings, root, &text, &errors);
            if findings.is_plenty() {
                // This is no policy with a slip, and its remains mean nothing.
                text = String::new();
            }
            break;
        }
        drop(errors);
        // Whole lines are replaced, so no character is cut.
        for range in taken_out {
            let blank = text[range.clone()].bytes().map(|octet| match octet {
                b'\n' | b'\r' => char::from(octet),
                _ => ' ',
            });
            let blank: String = blank.collect();
            text.replace_range(range, &blank);
        }
    }
    findings.end_of_syntax();
    text
}

/// Whether a list or an inline table is open at the end.
fn is_never_closed(error: &toml::de::Error) -> bool {
    let message = error.message();
    message.starts_with("unclosed inline table")
        || message.starts_with("unclosed array") && !is_broken_header(error)
}

/// Whether a header isn't closed, so that it opens no table.
fn is_broken_header(error: &toml::de::Error) -> bool {
    let message = error.message();
    message.starts_with("unclosed table") || message.starts_with("unclosed array table")
}

/// Where the last statement's list or inline table begins: what is open at the end of the text is
/// its, since nothing can follow it.
fn last_statement(table: &DeTable<'_>) -> Option<usize> {
    let of_value = |key: usize, value: &toml::Spanned<DeValue<'_>>| match value.get_ref() {
        // What stands below a header has the header's place, around its key.
        DeValue::Array(_) | DeValue::Table(_) if value.span().start > key => {
            Some(value.span().start)
        }
        DeValue::Table(table) => last_statement(table),
        DeValue::Array(array) => array
            .iter()
            .filter_map(|item| item.get_ref().as_table())
            .filter_map(last_statement)
            .max(),
        _ => None,
    };
    table.iter().filter_map(|(key, value)| of_value(key.span().start, value)).max()
}

/// The lines from the one of this offset to the next header.
fn block(text: &str, at: usize) -> Span {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find("\n[").map_or(text.len(), |newline| at + newline + 1);
    start..end
}

fn note(findings: &mut Findings, error: &toml::de::Error) {
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, expected),
        None => (error.message(), "TOML"),
    };
    let span = error.span().unwrap_or(0..0);
    findings.add(span, message.to_owned(), Some(expected.to_owned()));
}

/// Notes the errors that are left. A key that stands twice is named with the line on which it stood
/// first.
fn note_all(findings: &mut Findings, root: &DeTable<'_>, text: &str, errors: &[toml::de::Error]) {
    let mut keys = None;
    for error in errors {
        if error.message() != "duplicate key" {
            note(findings, error);
            continue;
        }
        let span = error.span().unwrap_or(0..0);
        let keys = keys.get_or_insert_with(|| all_keys(root, text));
        let word = bare(text.get(span.clone()).unwrap_or_default());
        let before = keys.partition_point(|(at, _)| *at < span.start);
        let message = format!("{} is given twice", quoted(word));
        let once = Some("each key once".to_owned());
        match keys[..before].iter().rev().find(|(_, key)| *key == word) {
            Some((at, _)) => findings.add_related(span, message, ("first on", *at), once),
            None => findings.add(span, message, once),
        }
    }
}

/// A key without quotes.
fn bare(key: &str) -> &str {
    key.trim_matches(['"', '\''])
}

/// Every key of a document with its offset, in the order of the text. Headers are looked for in the
/// text itself, since of two for one table the parser keeps the second.
fn all_keys<'t>(root: &'t DeTable<'_>, text: &'t str) -> Vec<(usize, &'t str)> {
    let mut keys = Vec::new();
    gather(root, &mut keys);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let header = line.trim_start_matches([' ', '\t', '[']);
        if line.trim_start().starts_with('[')
            && let Some((name, _)) = header.split_once(']')
        {
            keys.push((at + line.len() - header.len(), bare(name.trim_end())));
        }
        at += line.len();
    }
    keys.sort_unstable();
    keys
}

fn gather<'t>(table: &'t DeTable<'_>, keys: &mut Vec<(usize, &'t str)>) {
    for (key, value) in table {
        keys.push((key.span().start, key.get_ref().as_ref()));
        gather_value(value.get_ref(), keys);
    }
}

fn gather_value<'t>(value: &'t DeValue<'_>, keys: &mut Vec<(usize, &'t str)>) {
    match value {
        DeValue::Table(table) => gather(table, keys),
        DeValue::Array(array) => array.iter().for_each(|v| gather_value(v.get_ref(), keys)),
        _ => {}
    }
}
