//! Standard output and standard error, for readers that may go away at any time.

use std::{
    borrow::Cow,
    fmt,
    io::{self, BufWriter, StdoutLock, Write},
};
use terminal_size::{Width, terminal_size_of};
use textwrap::{WordSeparator, WordSplitter};

/// Where text for people goes.
pub trait Sink: Write {
    /// How many characters a line has room for, where that is known: of a terminal.
    fn width(&self) -> Option<usize>;
}

/// Standard output, buffered.
pub struct Out {
    buffer: BufWriter<StdoutLock<'static>>,
    width: Option<usize>,
}

impl Sink for Out {
    fn width(&self) -> Option<usize> {
        self.width
    }
}

/// Text that a test looks at.
#[cfg(test)]
impl Sink for Vec<u8> {
    fn width(&self) -> Option<usize> {
        None
    }
}

impl Out {
    /// Takes standard output.
    pub fn new() -> Self {
        let stdout = io::stdout().lock();
        let width = terminal_size_of(&stdout).map(|(Width(width), _)| usize::from(width));
        Self { buffer: BufWriter::new(stdout), width }
    }

    /// Writes a value as JSON that people can read, too.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self, value)?;
        writeln!(self)
    }
}

impl Write for Out {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.buffer.write(buffer).map_err(named)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.buffer.flush().map_err(named)
    }
}

/// An error of standard output, which says so: what can't be written may be a file of the caller's.
pub fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("writing standard output: {error}"))
}

/// Whether this is the end of a reader, such as `head`, that has seen enough.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(|e| e.io_error_kind());
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

/// Says a line on standard error. A terminal that is gone doesn't hear it.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("icmpgate: {line}\n").as_bytes());
}

/// As [`say`], for what has a form of its own.
pub fn plain(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Between columns.
const GAP: &str = "  ";
/// A column that doesn't fit isn't made narrower than this, or than its longest word.
const NARROWEST: usize = 20;

/// Columns of text, each as wide as what it holds, the last one without padding. `right` tells
/// which columns are numbers.
///
/// Where the terminal is too narrow, cells go on below themselves; where not even that has room, rows
/// are paragraphs, a bar between their cells. No word is broken.
pub fn columns<const N: usize>(
    out: &mut dyn Sink,
    right: [bool; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let natural: [usize; N] =
        std::array::from_fn(|i| rows.iter().map(|r| width(&r[i])).max().unwrap_or(0));
    let fitting = match out.width() {
        Some(room) => fitting(natural, rows, room.saturating_sub((N - 1) * GAP.len())),
        None => Some(natural),
    };
    let Some(widths) = fitting else {
        return rows.iter().try_for_each(|row| {
            let cells = row.iter().map(|cell| if cell.is_empty() { "-" } else { cell });
            paragraph(out, &cells.collect::<Vec<_>>().join(" | "))
        });
    };
    for row in rows {
        let cells: [Vec<String>; N] = std::array::from_fn(|i| wrapped(&row[i], widths[i]));
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let mut line = String::new();
            for ((cell, width), right) in cells.iter().zip(widths).zip(right) {
                let cell = cell.get(at).map_or("", String::as_str);
                if right {
                    line.push_str(&format!("{cell:>width$}{GAP}"));
                } else {
                    line.push_str(&format!("{cell:width$}{GAP}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    Ok(())
}

/// A line of text; on a terminal that is narrower, it goes on below, indented, and no word is broken.
pub fn paragraph(out: &mut dyn Sink, text: &str) -> io::Result<()> {
    match out.width() {
        None => writeln!(out, "{text}"),
        Some(width) => wrapped(text, width).iter().try_for_each(|line| writeln!(out, "{line}")),
    }
}

/// How wide each column is where all have so much room together; `None` where that is too little.
fn fitting<const N: usize>(
    natural: [usize; N],
    rows: &[[String; N]],
    room: usize,
) -> Option<[usize; N]> {
    let word = |i: usize| {
        let words = rows.iter().flat_map(|row| row[i].split(' ')).map(width);
        // What goes on below is indented.
        words.max().unwrap_or(0) + INDENT.len()
    };
    let least: [usize; N] = std::array::from_fn(|i| natural[i].min(word(i).max(NARROWEST)));
    let spare = room.checked_sub(least.iter().sum())?;
    let wanted = natural.iter().sum::<usize>() - least.iter().sum::<usize>();
    let share = |i: usize| match natural[i] - least[i] {
        0 => 0,
        lacks => lacks.min(spare * lacks / wanted),
    };
    Some(std::array::from_fn(|i| least[i] + share(i)))
}

/// Before what goes on below.
const INDENT: &str = "  ";

/// A text in lines of this width, or of a longer word's.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    // What stands before the first word is a mark or indented, and so is what goes on below.
    let options = textwrap::Options::new(width)
        .subsequent_indent(INDENT)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// As [`columns`], after an empty line; but nothing where there is no row below the head. Whether
/// there was one.
pub fn section<const N: usize>(
    out: &mut dyn Sink,
    right: [bool; N],
    rows: &[[String; N]],
) -> io::Result<bool> {
    let has_rows = rows.len() > 1;
    if has_rows {
        writeln!(out)?;
        columns(out, right, rows)?;
    }
    Ok(has_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let rows = [["A", "N", "Z"], ["bbb", "1", ""], ["", "1000", "end"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let mut text = Vec::new();
        columns(&mut text, [false, true, false], &rows).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "A       N  Z\nbbb     1\n     1000  end\n");
    }

    /// A terminal of this width.
    struct Terminal(usize, Vec<u8>);

    impl Write for Terminal {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.1.write(buffer)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Terminal {
        fn width(&self) -> Option<usize> {
            Some(self.0)
        }
    }

    /// What a terminal of this width shows of a table.
    fn on_terminal<const N: usize>(width: usize, right: [bool; N], rows: &[[&str; N]]) -> String {
        let rows: Vec<_> = rows.iter().map(|row| row.map(str::to_owned)).collect();
        let mut terminal = Terminal(width, Vec::new());
        columns(&mut terminal, right, &rows).unwrap();
        String::from_utf8(terminal.1).unwrap()
    }

    #[test]
    fn a_narrow_terminal_folds_what_does_not_fit_between_words() {
        let rows = [["A", "WHY", "N"], ["one", "because of what it was that came by", "12"]];
        let right = [false, false, true];
        let whole = "A    WHY                                   N\n\
                     one  because of what it was that came by  12\n";
        assert_eq!(on_terminal(44, right, &rows), whole);
        let folded = "A    WHY                     N\n\
                      one  because of what it     12\n       was that came by\n";
        assert_eq!(on_terminal(30, right, &rows), folded);
        // Three columns have no room: a row is a paragraph.
        let narrow = "A | WHY | N\none | because of what\n  it was that came by\n  | 12\n";
        assert_eq!(on_terminal(21, right, &rows), narrow);
        // A word that is longer than the line is whole all the same.
        let long = [["a", "multicast-listener-report"], ["", "b"]];
        let shown = on_terminal(10, [false; 2], &long);
        assert_eq!(shown, "a |\n  multicast-listener-report\n- | b\n");
    }

    #[test]
    fn what_is_wide_gets_the_room_that_is_left() {
        let words = |n| vec!["word"; n].join(" ");
        let (short, long) = (words(5), words(40));
        for width in [60, 80, 100, 150] {
            let shown = on_terminal(width, [false; 3], &[["a", &short, &long]]);
            let widest = shown.lines().map(str::len).max();
            assert!(widest.is_some_and(|w| w <= width && w > width - 8), "{shown}");
            assert_eq!(shown.split_whitespace().count(), 46, "{shown}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_known_through_json_too() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let plain = writeln!(Gone, "x").unwrap_err();
        assert!(is_broken_pipe(&plain.into()));
        let json = serde_json::to_writer(Gone, &[1]).unwrap_err();
        assert!(is_broken_pipe(&json.into()));
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert!(!is_broken_pipe(&anyhow::Error::from(other).context("reading")));
    }
}
