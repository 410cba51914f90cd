//! All that the bench measures, as files: for who wants to compare another machine, or another version.

use crate::{cases, instructions, live, machine, measured, report, scale, user};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// Measures everything and writes it: `results.json`, `README.md` and a plot of each curve.
pub(crate) fn write(folder: &Path, program: &Path, counts: &Path, rounds: u32) -> Result<()> {
    let can = |what: &'static str| format!("can't {what} {}", folder.display());
    // Before it takes some minutes.
    fs::create_dir_all(folder).with_context(|| can("make"))?;
    let (figures, text) = measured(&cases::all(), rounds)?;
    let mut sections = vec![report::section(&figures, text), instructions::section(counts)?];
    sections.push(live::run(live::With { program, other: None }, live::ROUNDS)?);
    sections.extend(scale::run(rounds)?);
    sections.push(user::run(program, rounds)?);

    let (machine, version) = (machine::name(), env!("CARGO_PKG_VERSION"));
    let mut text = format!(
        "# What icmpgate {version} costs\n\n{machine}. Written by `cargo xtask bench --results`, \
         {rounds} rounds, interleaved; figures are medians, and from the least to the most that was \
         measured.\n\n"
    );
    let mut all = Map::new();
    for section in &sections {
        section.print();
        text += &section.markdown();
        all.insert(section.name.to_owned(), section.figures.clone());
        if let Some(plot) = &section.plot {
            plot.draw(&section.title, &folder.join(format!("{}.svg", section.name)))?;
        }
    }
    let all = json!({
        "version": version,
        "machine": machine,
        "rounds": rounds,
        "sections": Value::Object(all),
    });
    let json = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(folder.join("results.json"), json).with_context(|| can("write into"))?;
    fs::write(folder.join("README.md"), text.trim_end().to_owned() + "\n")
        .with_context(|| can("write into"))
}
