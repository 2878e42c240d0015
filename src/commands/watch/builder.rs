//! The thread that makes patches, so that everything else goes on meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::commands::workshop::{Made, Workshop};
use crate::pipeline::capture::FatBuild;
use crate::pipeline::relink::{GuestLibrary, Guests};
use crate::pipeline::thin::{self, Primer, Rejected};
use crate::report::Reporter;

/// How often it is looked whether priming is over, while there is nothing else to do.
const PRIMING: Duration = Duration::from_millis(100);

/// Changed files, to be made a patch of.
#[derive(Debug, Clone)]
pub struct Job {
    /// The files.
    pub files: Vec<PathBuf>,
    /// When the first of them was touched.
    pub since: Instant,
}

/// What the thread is told.
enum Order {
    /// Make a patch.
    Make(Job),
    /// Forget this patch: the program did not take it.
    TakeBack(u32),
    /// The program carries over the values of these types.
    CarryOver(Vec<String>),
}

/// What became of a job.
pub struct Done {
    /// The job.
    pub job: Job,
    /// A patch, or why there is none.
    pub made: anyhow::Result<Made>,
    /// The number that the patch has, or would have had.
    pub patch: u32,
    /// The source files of the program as they are now known, and those that rustc complained of.
    pub code: Vec<PathBuf>,
    /// When the work began: what was written later may not be in it.
    pub begun: SystemTime,
}

/// What is known of a program that was read.
pub struct Ready {
    /// How clients of other tools in it are served.
    pub guests: Guests,
    /// What they are sent when our runtime has redirected functions.
    pub again: Option<anyhow::Result<GuestLibrary>>,
}

/// What the thread tells.
pub enum Told {
    /// The program was read, or why it cannot be.
    Ready(anyhow::Result<Ready>),
    /// A job is done.
    Done(Box<Done>),
}

/// The thread; ends when this is dropped, and waits for it.
pub struct Builder {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Builder {
    /// Starts to read the program and to prime the thin builds. Jobs may be given at once.
    /// Beside the reporter: whether patches may change the layout of types.
    pub fn start(
        fat: FatBuild,
        out: PathBuf,
        (reporter, allow_layout_changes): (Arc<Reporter>, bool),
        tell: impl Fn(Told) + Send + 'static,
    ) -> Builder {
        let (orders, inbox) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let primer = thin::prime(&fat);
            match Workshop::open(fat, out, reporter) {
                Ok(workshop) => {
                    let mut workshop = workshop.allow_layout_changes(allow_layout_changes);
                    let guests = workshop.guests();
                    let again = (guests == Guests::Told).then(|| workshop.again());
                    tell(Told::Ready(Ok(Ready { guests, again })));
                    work(workshop, primer, &inbox, &tell);
                }
                Err(error) => tell(Told::Ready(Err(error))),
            }
        });
        Builder { orders: Some(orders), thread: Some(thread) }
    }

    /// Gives it a job; one at a time.
    pub fn give(&self, job: Job) {
        self.order(Order::Make(job));
    }

    /// Forgets a patch that the program did not take.
    pub fn take_back(&self, patch: u32) {
        self.order(Order::TakeBack(patch));
    }

    /// The program carries over the values of these types.
    pub fn carry_over(&self, types: Vec<String>) {
        self.order(Order::CarryOver(types));
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // It ends early only where the program cannot be read, which was told then.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed.
            let _ = thread.join();
        }
    }
}

fn work(mut workshop: Workshop, primer: Primer, orders: &Receiver<Order>, tell: &dyn Fn(Told)) {
    let mut first = None;
    while first.is_none() && !primer.is_finished() {
        match orders.recv_timeout(PRIMING) {
            Ok(order) => first = Some(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
    // The two must not run at once, and what it has begun is worth finishing. What it failed at
    // is tried again, and told then.
    workshop.primed(primer.finish().ok().flatten().as_ref());
    while let Some(order) = first.take().or_else(|| orders.recv().ok()) {
        let job = match order {
            Order::Make(job) => job,
            Order::CarryOver(types) => {
                workshop.carry_over(types);
                continue;
            }
            Order::TakeBack(patch) => {
                workshop.take_back(patch);
                continue;
            }
        };
        let begun = SystemTime::now();
        let patch = workshop.next_patch();
        let made = workshop.make(&job.files, job.since);
        let mut code: Vec<_> =
            workshop.fat().units.iter().flat_map(|unit| unit.inputs.iter().cloned()).collect();
        if let Some(rejected) = rejected(&made) {
            code.extend(rejected.files.iter().cloned());
        }
        tell(Told::Done(Box::new(Done { job, made, patch, code, begun })));
    }
}

/// What rustc did not accept, where that is why there is no patch.
pub fn rejected<T>(made: &anyhow::Result<T>) -> Option<&Rejected> {
    made.as_ref().err()?.chain().find_map(|error| error.downcast_ref::<Rejected>())
}
