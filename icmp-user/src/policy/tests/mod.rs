//! Tests of the policy as a whole.

mod mistakes;
mod oracle;
mod profiles;
mod share;
mod table;
mod warn;

use super::{TableLine, rows};

/// The table as text, a row a line.
fn rendered(lines: &[TableLine]) -> String {
    rows(lines).iter().map(|row| row.join("  ") + "\n").collect()
}
