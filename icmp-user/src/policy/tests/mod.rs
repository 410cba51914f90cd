//! Tests of the policy as a whole.

mod mistakes;
mod oracle;
mod profiles;
mod table;
mod warn;
