//! A processor without detours yet: functions are reached through `call`.

/// `e_machine` of this processor's ELF files; 0 is none, so every patch is refused.
pub const ELF_MACHINE: u16 = 0;
/// Code may be entered anywhere.
pub const LANDING_PADS: Option<(u32, u32)> = None;
