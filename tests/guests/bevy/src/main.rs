//! A Bevy program without a window, with the engine's own hot patching.
//!
//! Expected, whatever is patched and however often: `score`, `seen` and `entities` equal the
//! number of the tick. `value` follows the source. `told` counts the engine's own messages.

use std::time::Duration;

use bevy_app::hotpatch::HotPatchPlugin;
use bevy_app::{App, ScheduleRunnerPlugin, Update};
use bevy_ecs::HotPatched;
use bevy_ecs::prelude::*;

#[derive(Resource, Default)]
struct Score(u64);

#[derive(Resource, Default)]
struct Told(u64);

#[derive(Component)]
struct Mark;

fn main() {
    #[cfg(feature = "runtime")]
    hotpatch_runtime::start();
    App::new()
        .add_plugins(ScheduleRunnerPlugin::run_loop(Duration::from_millis(20)))
        .add_plugins(HotPatchPlugin)
        .init_resource::<Score>()
        .init_resource::<Told>()
        .add_systems(Update, (hear, tick).chain())
        .run();
}

fn hear(mut messages: MessageReader<HotPatched>, mut told: ResMut<Told>) {
    told.0 += messages.read().count() as u64;
}

fn tick(
    mut commands: Commands,
    mut score: ResMut<Score>,
    mut seen: Local<u64>,
    told: Res<Told>,
    marks: Query<&Mark>,
) {
    score.0 += 1;
    *seen += 1;
    commands.spawn(Mark);
    let (tick, entities, told) = (score.0, marks.iter().count() + 1, told.0);
    println!(
        "tick {tick} score={tick} seen={} entities={entities} value={} told={told}",
        *seen,
        value()
    );
}

fn value() -> u64 {
    100 // EDIT value
}
