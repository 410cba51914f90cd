//! Tests of the policy as a whole.

mod mistakes;
mod oracle;
mod profiles;
mod share;
mod table;
mod warn;
