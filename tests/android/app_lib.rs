//! An app's library: the least of Java's interface that such a library needs.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::mem::transmute;
use std::ptr::null_mut;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

type Env = *const *const *const c_void;
type Native = extern "system" fn(Env, *mut c_void) -> *mut c_void;

#[repr(C)]
struct Method {
    name: *const c_char,
    signature: *const c_char,
    function: Native,
}

static UI: AtomicU64 = AtomicU64::new(0);
static RENDERED: AtomicU64 = AtomicU64::new(0);
static LATE: LazyLock<Box<dyn Fn(u64, u64) -> bool + Send + Sync>> =
    LazyLock::new(|| Box::new(|a, b| a == b));
thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

fn text(count: &AtomicU64) -> String {
    OWN.set(OWN.get() + 1);
    let count = count.fetch_add(1, Ordering::SeqCst) + 1;
    format!("step=1 same={}", LATE(count, OWN.get()))
}

/// The function at a place of a table.
unsafe fn at(table: Env, place: usize) -> *const c_void {
    unsafe { *(*table).add(place) }
}

fn string(env: Env, text: String) -> *mut c_void {
    let text = CString::new(text).expect("no zero byte");
    unsafe {
        let make: extern "system" fn(Env, *const c_char) -> *mut c_void = transmute(at(env, 167));
        make(env, text.as_ptr())
    }
}

#[unsafe(no_mangle)]
pub extern "system" fn Java_com_example_app_Native_tick(env: Env, _: *mut c_void) -> *mut c_void {
    string(env, text(&UI))
}

extern "system" fn render(env: Env, _: *mut c_void) -> *mut c_void {
    string(env, text(&RENDERED))
}

#[unsafe(no_mangle)]
pub extern "system" fn JNI_OnLoad(vm: Env, _: *mut c_void) -> i32 {
    const VERSION: i32 = 0x10006;
    let mut env: Env = null_mut::<c_void>().cast();
    unsafe {
        let get: extern "system" fn(Env, *mut Env, i32) -> i32 = transmute(at(vm, 6));
        if get(vm, &raw mut env, VERSION) != 0 {
            return -1;
        }
        let find: extern "system" fn(Env, *const c_char) -> *mut c_void = transmute(at(env, 6));
        let class = find(env, c"com/example/app/Native".as_ptr());
        let method = Method {
            name: c"render".as_ptr(),
            signature: c"()Ljava/lang/String;".as_ptr(),
            function: render,
        };
        let register: extern "system" fn(Env, *mut c_void, *const Method, i32) -> i32 =
            transmute(at(env, 215));
        register(env, class, &raw const method, 1);
    }
    VERSION
}
