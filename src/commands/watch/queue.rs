//! What still has to be built: no save is lost, whenever it comes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use super::builder::Job;

/// Changed files that no patch has yet.
#[derive(Debug, Default)]
pub struct Queue {
    /// Saved since the last job was taken.
    saved: BTreeSet<PathBuf>,
    since: Option<Instant>,
    /// In jobs that failed: they are part of the next one.
    left: BTreeSet<PathBuf>,
    /// Whether a job was taken and is not done.
    busy: bool,
    /// Whether what failed may work now without a new save.
    again: bool,
}

impl Queue {
    /// Files were saved; the first of them was touched at `at`.
    pub fn saved(&mut self, files: impl IntoIterator<Item = PathBuf>, at: Instant) {
        self.saved.extend(files);
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }

    /// A file appeared that a failed build may have missed.
    pub fn stranger(&mut self, at: Instant) {
        if self.busy || !self.left.is_empty() {
            self.again = true;
            self.since = Some(self.since.map_or(at, |since| since.min(at)));
        }
    }

    /// Whether a job is being done.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The next job, if there is something to do and nothing is being done.
    pub fn take(&mut self) -> Option<Job> {
        let wanted = !self.saved.is_empty() || (self.again && !self.left.is_empty());
        if self.busy || !wanted {
            return None;
        }
        let mut files = std::mem::take(&mut self.saved);
        files.append(&mut self.left);
        self.busy = true;
        self.again = false;
        let since = self.since.take().unwrap_or_else(Instant::now);
        Some(Job { files: files.into_iter().collect(), since })
    }

    /// The job is done; where it failed, its files wait for the next one.
    pub fn done(&mut self, job: &Job, failed: bool) {
        self.busy = false;
        if failed {
            self.left.extend(job.files.iter().cloned());
        } else {
            self.again = false;
            if self.saved.is_empty() {
                self.since = None;
            }
        }
    }

    /// The program did not take the patch of these files, and the next one is to have them.
    pub fn taken_back(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.left.extend(files);
    }

    /// Everything is built anew.
    pub fn clear(&mut self) {
        *self = Queue::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn files(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn saves_during_a_job_are_one_more_job_with_their_own_time() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.saved(files(&["a"]), t);
        let first = queue.take().unwrap();
        assert_eq!((first.files.clone(), first.since), (files(&["a"]), t));
        let later = t + Duration::from_millis(5);
        queue.saved(files(&["b"]), later);
        queue.saved(files(&["a"]), later + Duration::from_millis(1));
        assert!(queue.take().is_none(), "one at a time");
        queue.done(&first, false);
        let second = queue.take().unwrap();
        assert_eq!((second.files, second.since), (files(&["a", "b"]), later));
    }

    #[test]
    fn what_failed_is_built_with_the_next_save() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.saved(files(&["a"]), t);
        let job = queue.take().unwrap();
        queue.done(&job, true);
        assert!(queue.take().is_none(), "not again and again");
        queue.saved(files(&["b"]), t);
        assert_eq!(queue.take().unwrap().files, files(&["a", "b"]));
    }

    #[test]
    fn a_new_file_is_a_reason_to_try_again_what_failed_and_no_other() {
        let (mut queue, t) = (Queue::default(), Instant::now());
        queue.stranger(t);
        assert!(queue.take().is_none());
        queue.saved(files(&["a"]), t);
        let job = queue.take().unwrap();
        queue.stranger(t);
        queue.done(&job, true);
        let again = queue.take().unwrap();
        assert_eq!(again.files, files(&["a"]));
        queue.stranger(t);
        queue.done(&again, false);
        assert!(queue.take().is_none());
        queue.stranger(t);
        assert!(queue.take().is_none());
    }
}
