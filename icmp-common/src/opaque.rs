//! A number of which the compiler knows nothing.
//!
//! The compiler takes away a bound that follows from what it knows of a number, and the verifier, which doesn't
//! know that, refuses what is left. `core::hint::black_box` hides a number as well, but by way of the stack: four
//! instructions, and a wait for what was just written. Where the *verifier* is to know nothing of a number that
//! has less than eight octets, that is what it takes.

/// The same number, in a register.
#[must_use]
#[inline(always)]
pub fn opaque(number: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    let number = {
        let mut number = number;
        // SAFETY: moves the number to where it is. Nothing at all would leave two source lines at one
        // instruction, which the kernel refuses (`Invalid line_info`).
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack, preserves_flags));
        }
        number
    };
    number
}

/// The same answer, of which the verifier knows neither that it is yes nor that it is no.
///
/// By way of the stack, on which it remembers each octet that is zero. So none is.
#[must_use]
#[inline(always)]
pub fn either(answer: bool) -> bool {
    core::hint::black_box(u8::from(answer) | 2) & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_change_nothing() {
        assert_eq!([0, 1, usize::MAX].map(opaque), [0, 1, usize::MAX]);
        assert_eq!([false, true].map(either), [false, true]);
    }
}
