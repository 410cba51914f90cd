//! What a part of the bench found: to be printed, and to be written as Markdown, JSON and a plot.

use icmpgate_rig::text::{Look, Paint, Table};
use serde_json::Value;

use crate::{measure::Spread, plot::Plot};

/// What a part found.
pub(crate) struct Section {
    /// Its key in the JSON, and the name of its plot.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) title: String,
    /// What was measured and how.
    pub(crate) text: String,
    /// The figures, for people.
    pub(crate) table: Table,
    /// What they are held against.
    pub(crate) bars: Vec<Held>,
    /// The figures as a curve.
    pub(crate) plot: Option<Plot>,
    /// The figures, for programs.
    pub(crate) figures: Value,
}

/// A figure that was held against another.
pub(crate) struct Held {
    /// What should be.
    pub(crate) what: String,
    /// Whether it is; `None` where it wasn't measured.
    pub(crate) met: Option<bool>,
    /// What is.
    pub(crate) figures: String,
}

impl Held {
    /// A line that begins with the word that matters.
    pub(crate) fn line(&self, paint: Paint) -> String {
        let Self { what, met, figures } = self;
        let word = match met {
            None => return format!("not measured: {what}"),
            Some(true) => paint.paint(Look::Good, "met"),
            Some(false) => paint.paint(Look::Bad, "NOT met"),
        };
        format!("{word}: {what} ({figures})")
    }
}

impl Section {
    /// Prints it.
    pub(crate) fn print(&self) {
        let paint = Paint::of_stdout();
        if !self.text.is_empty() {
            println!("{}\n", self.text);
        }
        for line in self.table.lines(paint) {
            println!("{line}");
        }
        println!();
        for held in &self.bars {
            println!("{}", held.line(paint));
        }
        if !self.bars.is_empty() {
            println!();
        }
    }

    /// The same in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        match self.text.as_str() {
            "" => {}
            // Lines that a paragraph would run together.
            lines if lines.contains('\n') => text += &format!("```text\n{lines}\n```\n\n"),
            line => text += &format!("{line}\n\n"),
        }
        if self.plot.is_some() {
            text += &format!("![{}]({}.svg)\n\n", self.title, self.name);
        }
        for line in self.table.markdown() {
            text += &(line + "\n");
        }
        text.push('\n');
        for held in &self.bars {
            text += &format!("- {}\n", held.line(Paint::none()));
        }
        if !self.bars.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// A figure with one digit behind the point, as tables have it.
pub(crate) fn shown(figure: f64) -> String {
    format!("{figure:.1}")
}

/// A spread as tables have it: the median, and in what range all were.
pub(crate) fn spread(spread: Spread) -> [String; 3] {
    [spread.median, spread.min, spread.max].map(shown)
}

/// A spread as the JSON has it.
pub(crate) fn json(spread: Spread) -> Value {
    let rounded = |figure: f64| (figure * 100.0).round() / 100.0;
    serde_json::json!({
        "median": rounded(spread.median),
        "min": rounded(spread.min),
        "max": rounded(spread.max),
    })
}
