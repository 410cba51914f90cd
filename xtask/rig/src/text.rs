//! Text for a person: tables whose columns line up, numbers with their thousands apart, and colour
//! where a terminal shows it.

use std::{env, io::IsTerminal as _};

/// How a cell of a table stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At the column's left edge: words.
    Left,
    /// At its right edge: numbers.
    Right,
}

/// How a cell looks, where there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// As any text.
    #[default]
    Plain,
    /// What is as it should be, or passed.
    Good,
    /// What isn't, or was dropped.
    Bad,
    /// What is beside the point.
    Dim,
    /// A heading.
    Bold,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A cell that looks like this.
    #[must_use]
    pub fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Look::Plain)
    }
}

/// A table: a heading and rows of cells.
#[derive(Debug)]
pub struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let heading = columns.iter().map(|(name, _)| Cell::new(*name, Look::Bold)).collect();
        Self { align: columns.iter().map(|(_, align)| *align).collect(), rows: vec![heading] }
    }

    /// Adds a row; cells that it lacks stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<Cell>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, the heading's first. None ends in a space.
    #[must_use]
    pub fn lines(&self, paint: Paint) -> Vec<String> {
        let width = |cell: &Cell| cell.text.chars().count();
        let widths: Vec<usize> = (0..self.align.len())
            .map(|i| self.rows.iter().filter_map(|r| r.get(i)).map(width).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<Cell>| {
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
            let cells = self.align.iter().zip(&widths).zip(row).enumerate().take(last + 1);
            let cells: Vec<String> = cells
                .map(|(i, ((align, width), Cell { text, look }))| match align {
                    Align::Right => paint.paint(*look, &format!("{text:>width$}")),
                    Align::Left if i == last => paint.paint(*look, text),
                    Align::Left => paint.paint(*look, &format!("{text:<width$}")),
                })
                .collect();
            cells.join("  ")
        };
        self.rows.iter().map(line).collect()
    }
}

impl Table {
    /// The lines of the same table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> Vec<String> {
        let line = |row: &Vec<Cell>| {
            let cell = |i| row.get(i).map_or("", |cell: &Cell| cell.text.as_str());
            (0..self.align.len()).map(|i| format!("| {} ", cell(i))).collect::<String>() + "|"
        };
        let under = self.align.iter().map(|align| match align {
            Align::Left => "| --- ",
            Align::Right => "| ---: ",
        });
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        lines.insert(1, under.collect::<String>() + "|");
        lines
    }
}

/// A number with its thousands apart.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours where standard output is a terminal and nobody asked for none (no-color.org).
    #[must_use]
    pub fn of_stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: !unwanted && !dumb && std::io::stdout().is_terminal() }
    }

    /// No colours.
    #[must_use]
    pub const fn none() -> Self {
        Self { on: false }
    }

    /// The text, looking like this.
    #[must_use]
    pub fn paint(self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Good => "32",
            Look::Bad => "31",
            Look::Dim => "2",
            Look::Bold => "1",
            Look::Plain => return text.to_owned(),
        };
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let mut table =
            Table::new(&[("case", Align::Left), ("ns", Align::Right), ("", Align::Left)]);
        table.row(["a", "10.5"]);
        table.row(["long", "7", "x"]);
        assert_eq!(table.lines(Paint::none()), ["case    ns", "a     10.5", "long     7  x"]);
        assert_eq!(
            table.markdown(),
            ["| case | ns |  |", "| --- | ---: | --- |", "| a | 10.5 |  |", "| long | 7 | x |"]
        );
    }
}
