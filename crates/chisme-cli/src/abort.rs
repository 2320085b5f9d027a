//! A process that panics ends, at once and as a whole.
//!
//! Binaries are built to unwind, because the simulator lets a run fail and goes on. An agent with a
//! dead task would still look alive to its operator, so it does not go on.

use std::panic;

/// From now on a panic on any thread, once it is told, aborts the process.
pub(crate) fn on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::thread;

    /// Set for the process that is to panic.
    const CHILD: &str = "CHISME_TEST_PANICS";

    const SIGABRT: i32 = 6;

    #[test]
    fn a_panic_of_a_thread_ends_the_process() {
        if env::var_os(CHILD).is_some() {
            super::on_panic();
            // Without the hook this would be an error that somebody has to look at.
            _ = thread::spawn(|| panic!("a task is dead")).join();
            return;
        }
        let mut child = Command::new(env::current_exe().expect("this test runs"));
        child.args([
            "--exact",
            "abort::tests::a_panic_of_a_thread_ends_the_process",
            "--nocapture",
        ]);
        let output = child.env(CHILD, "1").output().expect("it starts once more");
        assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("a task is dead"), "{told}");
    }
}
