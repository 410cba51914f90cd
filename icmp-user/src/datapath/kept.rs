//! The text of the policy in force, kept where the instance is: its file may be edited in place, or be gone.
//!
//! bpffs holds no files, so it lies in an array map, which is pinned under the generation of its policy: a text is
//! never taken for another policy's, whenever whoever writes it is interrupted.

use super::{
    Error, PinDir,
    link::remove_file,
    maps::{Value, new_array},
};
use aya::maps::{Array, Map, MapData, MapError};
use std::fs;

const PREFIX: &str = "text-";
/// What the map is called, to `bpftool` and in errors.
const NAME: &str = "POLICY_TEXT";
/// How many octets an element has.
const PAGE: usize = 4096;

type Pages = Array<MapData, Value<[u8; PAGE]>>;

/// Keeps the text of the policy that is to have this generation.
pub(super) fn keep(pins: &PinDir, generation: u64, text: &str) -> Result<(), Error> {
    let pages = text.as_bytes().chunks(PAGE);
    let mut map: Pages = new_array(NAME, pages.len().max(1) as u32)?;
    for (i, octets) in (0..).zip(pages) {
        let mut page = [0; PAGE];
        page[..octets.len()].copy_from_slice(octets);
        map.set(i, Value(page), 0)?;
    }
    let path = pins.map(&format!("{PREFIX}{generation}"));
    // Where a policy of that number was never put in force.
    remove_file(&path)?;
    Ok(map.pin(path)?)
}

/// Forgets the texts of all policies but this one.
pub(super) fn forget_others(pins: &PinDir, generation: u64) -> Result<(), Error> {
    let own = format!("{PREFIX}{generation}");
    let tried = || Error::io(format!("reading {}", pins.path().display()));
    for entry in fs::read_dir(pins.path()).map_err(tried())? {
        let name = entry.map_err(tried())?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(PREFIX) && name != own {
            remove_file(&pins.map(name))?;
        }
    }
    Ok(())
}

/// The text of the policy of this generation; `None` where none is kept.
pub(super) fn text(pins: &PinDir, generation: u64) -> Result<Option<String>, Error> {
    let path = pins.map(&format!("{PREFIX}{generation}"));
    if !path.exists() {
        return Ok(None);
    }
    let unreadable =
        |error: MapError| Error::Unreadable { map: NAME, path: pins.path().to_owned(), error };
    let map = MapData::from_pin(path).and_then(Map::from_map_data).map_err(unreadable)?;
    let pages: Pages = map.try_into().map_err(unreadable)?;
    let mut octets = Vec::new();
    for page in pages.iter() {
        octets.extend(page.map_err(unreadable)?.0);
    }
    // TOML has no zeros, so what ends in them is the last page.
    let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    octets.truncate(end);
    Ok(String::from_utf8(octets).ok())
}
