//! Standard output and standard error, for readers that may go away at any time.

use std::{
    fmt,
    io::{self, BufWriter, StdoutLock, Write},
};

/// Standard output, buffered.
pub struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    /// Takes standard output.
    pub fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes a value as JSON that people can read, too.
    pub fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self, value)?;
        writeln!(self)
    }
}

impl Write for Out {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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

/// Columns of text, each as wide as what it holds, the last one without padding. `right` tells
/// which columns are numbers.
pub fn columns<const N: usize>(
    out: &mut dyn Write,
    right: [bool; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(right) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&if right {
                format!("{cell:>width$}")
            } else {
                format!("{cell:width$}")
            });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// As [`columns`], after an empty line; but nothing where there is no row below the head. Whether
/// there was one.
pub fn section<const N: usize>(
    out: &mut dyn Write,
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
