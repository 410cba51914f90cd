//! Mistakes in a policy: gathered by their octets while it is read, shown by line and column.
//!
//! Each begins with a line of the form that compilers use, `file:line:column: what; expected what`,
//! so that editors and `grep` can follow it; the line of the file stands below. A run reports them
//! all, in the order of the file.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

/// How many mistakes are shown in full. A file that isn't TOML at all can have millions.
const MOST_SHOWN: usize = 1000;
/// How many are kept while reading; those beyond are only counted.
const MOST_KEPT: usize = 100 * MOST_SHOWN;
/// How much of a line is shown, in octets before and behind the mistake.
const SNIPPET: usize = 80;

/// A place in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file, as it was named.
    pub file: String,
    /// Where in it; `None` where it couldn't be read at all.
    pub place: Option<Place>,
    /// What is wrong, other places that are concerned included.
    pub message: String,
    /// What was expected.
    pub expected: Option<String>,
    snippet: Option<Snippet>,
}

/// A part of a line, and which of it the mistake is, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Snippet {
    text: String,
    indent: usize,
    width: usize,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let (Some(snippet), Some(place)) = (&self.snippet, self.place) {
            let number = place.line.to_string();
            let gutter = number.len();
            write!(f, "\n {number} | {}", snippet.text)?;
            write!(f, "\n {:gutter$} | {:indent$}", "", "", indent = snippet.indent)?;
            write!(f, "{}", "^".repeat(snippet.width.max(1)))?;
        }
        Ok(())
    }
}

/// Every mistake of a policy, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors {
    errors: Vec<PolicyError>,
    more: usize,
}

impl PolicyErrors {
    /// The one mistake of a file that can't be read.
    pub(super) fn of_file(name: &str, error: FileError) -> Self {
        let error = PolicyError {
            file: name.to_owned(),
            place: error.place,
            message: error.message,
            expected: Some(error.expected),
            snippet: None,
        };
        Self { errors: vec![error], more: 0 }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.errors.len() + self.more
    }

    /// Whether there is none; never so for what this module returns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Those that are shown: the first 1,000.
    pub fn iter(&self) -> std::slice::Iter<'_, PolicyError> {
        self.errors.iter()
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more mistakes, not shown", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// Why a file can't be read as text.
#[derive(Debug)]
pub(super) struct FileError {
    pub place: Option<Place>,
    pub message: String,
    pub expected: String,
}

/// A mistake, while its place is still a range of octets.
#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
    expected: Option<String>,
    /// Other places that are concerned, each with the words that lead to its line.
    related: Vec<(&'static str, usize)>,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    items: Vec<Finding>,
    /// How many of the items are of the syntax; they come first.
    syntax: usize,
    /// How many more there are.
    dropped: usize,
}

impl Findings {
    pub fn len(&self) -> usize {
        self.items.len() + self.dropped
    }

    /// Whether there are more than will be shown, so that hints are no use any more.
    pub fn is_plenty(&self) -> bool {
        self.items.len() > MOST_SHOWN
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the text isn't even TOML, so that what seems to be missing may only be unreadable.
    pub fn has_syntax_errors(&self) -> bool {
        self.syntax > 0
    }

    /// Ends the mistakes of the syntax; what is noted from here on is of the meaning.
    pub fn end_of_syntax(&mut self) {
        self.syntax = self.items.len();
    }

    pub fn add(&mut self, span: Range<usize>, message: String, expected: Option<String>) {
        self.push(Finding { span, message, expected, related: Vec::new() });
    }

    pub fn add_related(
        &mut self,
        span: Range<usize>,
        message: String,
        related: (&'static str, usize),
        expected: Option<String>,
    ) {
        self.push(Finding { span, message, expected, related: vec![related] });
    }

    fn push(&mut self, finding: Finding) {
        if self.items.len() < MOST_KEPT {
            self.items.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    /// Finds lines and columns, in one walk over the text.
    pub fn resolve(self, file: &str, text: &str) -> PolicyErrors {
        let Self { items, syntax, dropped } = self;
        let places = places(
            text,
            items.iter().flat_map(|f| {
                std::iter::once(f.span.start).chain(f.related.iter().map(|(_, at)| *at))
            }),
        );
        let line = |f: &Finding| places[&f.span.start].line;
        // A line that can't be parsed is recovered from as well as can be; what its remains seem to
        // mean is no second mistake.
        let broken: HashSet<usize> = items[..syntax].iter().map(line).collect();
        let mut kept: Vec<Finding> = items
            .into_iter()
            .enumerate()
            .filter(|(i, f)| *i < syntax || !broken.contains(&line(f)))
            .map(|(_, f)| f)
            .collect();
        kept.sort_by_key(|f| f.span.start);
        let more = kept.len().saturating_sub(MOST_SHOWN) + dropped;
        kept.truncate(MOST_SHOWN);
        let errors = kept
            .into_iter()
            .map(|f| {
                let mut message = f.message;
                for (words, at) in f.related {
                    message.push_str(&format!("; {words} line {}", places[&at].line));
                }
                PolicyError {
                    file: file.to_owned(),
                    place: Some(places[&f.span.start]),
                    message,
                    expected: f.expected,
                    snippet: snippet(text, f.span),
                }
            })
            .collect();
        PolicyErrors { errors, more }
    }
}

/// The line and column of each offset.
fn places(text: &str, offsets: impl Iterator<Item = usize>) -> HashMap<usize, Place> {
    let mut sorted: Vec<usize> = offsets.collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut places = HashMap::with_capacity(sorted.len());
    let mut place = Place { line: 1, column: 1 };
    let mut chars = text.char_indices().peekable();
    for offset in sorted {
        while let Some((_, c)) = chars.next_if(|(at, _)| *at < offset) {
            if c == '\n' {
                place = Place { line: place.line + 1, column: 1 };
            } else {
                place.column += 1;
            }
        }
        places.insert(offset, place);
    }
    places
}

/// The line around a mistake, cut to what fits a terminal, with control characters made visible.
fn snippet(text: &str, span: Range<usize>) -> Option<Snippet> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let from = text.floor_char_boundary(start.saturating_sub(SNIPPET));
    let to = text.floor_char_boundary((start + SNIPPET).min(text.len()));
    let before = text[from..start].rsplit('\n').next().unwrap_or_default();
    let behind = text[start..to].split(['\n', '\r']).next().unwrap_or_default();
    if before.trim().is_empty() && behind.trim().is_empty() {
        return None;
    }
    let marked = span.end.saturating_sub(start).min(behind.len());
    let marked = &behind[..behind.floor_char_boundary(marked)];
    Some(Snippet {
        text: format!("{}{}", visible(before), visible(behind)),
        indent: before.chars().count(),
        width: marked.chars().count(),
    })
}

/// A text with each control character as one space or replacement character, so that a file can't
/// send escape sequences to the terminal that shows its mistakes.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// What someone wrote, in backticks, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = visible(text).chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Words as a list for a sentence: "`a`, `b` or `c`".
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The word that was probably meant: one that begins like it, else the nearest, where it is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word isn't a slip of one of ours, and comparing it would cost.
    if word.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    let begun = known.iter().filter(|k| word.len() >= 3 && k.starts_with(word));
    if let Some(begun) = begun.min_by_key(|k| k.len()) {
        return Some(begun);
    }
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, k)| *distance <= (1 + k.len().min(word.len())) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_the_mark_stands_below_the_mistake() {
        let text = "# ä\nname = \"ö\" # x\r\n";
        let at = text.find("# x").unwrap();
        let mut findings = Findings::default();
        findings.add(at..at + 3, "odd".into(), Some("even".into()));
        let errors = findings.resolve("f", text);
        assert_eq!(
            errors.to_string(),
            "f:2:12: odd; expected even\n 2 | name = \"ö\" # x\n   |            ^^^"
        );
    }

    #[test]
    fn a_file_cannot_drive_the_terminal_that_shows_it() {
        let text = "a\u{1b}[31m = 1";
        let mut findings = Findings::default();
        findings.add(0..1, format!("odd {}", quoted(text)), None);
        let shown = findings.resolve("f", text).to_string();
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn millions_of_mistakes_are_counted_and_not_shown() {
        let text = "=\n".repeat(5000);
        let mut findings = Findings::default();
        for line in 0..5000 {
            findings.add(2 * line..2 * line + 1, "odd".into(), None);
        }
        let errors = findings.resolve("f", &text);
        assert_eq!((errors.len(), errors.iter().count()), (5000, 1000));
        assert!(errors.to_string().ends_with("\nand 4000 more mistakes, not shown"));
    }

    #[test]
    fn what_was_meant_is_only_guessed_where_it_is_near() {
        assert_eq!(nearest("tpye", ["type", "code"]), Some("type"));
        assert_eq!(nearest("timestmp", ["timestamp", "timestamp-reply"]), Some("timestamp"));
        assert_eq!(nearest("icmp", ["igmp", "icmpv4"]), Some("icmpv4"));
        assert_eq!(nearest("b", ["a"]), None);
        assert_eq!(nearest("colour", ["code", "zone"]), None);
        assert_eq!(nearest(&"a".repeat(65), ["aaaa"]), None);
    }
}
