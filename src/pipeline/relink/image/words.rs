//! What a user is told of a change that cannot be.

use std::collections::BTreeMap;

use crate::error::Failure;
use crate::pipeline::relink::collect::Obstacle;

/// One refusal for all obstacles, item by item.
pub fn refusal(obstacles: &[Obstacle]) -> Failure {
    let mut by_item: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for obstacle in obstacles {
        by_item.entry(&obstacle.item).or_default().push(&obstacle.reason);
    }
    let lines: Vec<String> =
        by_item.iter().map(|(item, reasons)| format!("`{item}`: {}", reasons.join("; "))).collect();
    Failure::refused(format!("this change cannot be patched in: {}", lines.join("\n")))
        .hint("restart the program to run it")
}
