//! Whether a function's entry can be overwritten with a jump.

use iced_x86::FlowControl;

/// The bytes that the runtime writes: `jmp rel32`.
pub const JUMP: u64 = 5;

/// Why the entry of a function cannot be overwritten, where it cannot: `code` is the function,
/// `room` the bytes from its entry to the next symbol.
pub fn hazard(code: &[u8], room: u64) -> Option<&'static str> {
    if room < JUMP {
        return Some("it is shorter than a jump, with another function right behind it");
    }
    let mut at = 0;
    while let Some(instruction) = super::decode(code, at) {
        let end = at + instruction.len();
        match instruction.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
                if (1..JUMP).contains(&instruction.near_branch_target()) =>
            {
                return Some("it branches back into its first bytes");
            }
            FlowControl::Call | FlowControl::IndirectCall if (end as u64) < JUMP => {
                return Some("a call returns into its first bytes");
            }
            _ => {}
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_refused_where_a_jump_would_break_them() {
        let cases: [(&[u8], u64, bool); 6] = [
            (&[0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3], 16, true),
            (&[0xc3], 16, true),
            (&[0xc3], 4, false),
            // nop; jmp -3 (to offset 0), then to offset 1
            (&[0x90, 0xeb, 0xfd, 0x90, 0x90], 16, true),
            (&[0x90, 0xeb, 0xfe, 0x90, 0x90], 16, false),
            // call *%rax returns to offset 2
            (&[0xff, 0xd0, 0x90, 0x90, 0x90, 0xc3], 16, false),
        ];
        for (code, room, fine) in cases {
            assert_eq!(hazard(code, room).is_none(), fine, "{code:x?} in {room}");
        }
    }
}
