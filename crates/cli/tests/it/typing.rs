//! Secrets, as they are typed on a terminal.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::terminal::{Said, WRIT};

/// Runs `writ` at a terminal on which `keys` are typed, each after a prompt; also returns what the terminal showed.
fn at_a_terminal(line: &str, keys: &[&str]) -> (Said, String) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
    let screen = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut child = Command::new(WRIT)
        .args(line.split(' '))
        .env_clear()
        .env("WRIT_SERVER", "http://127.0.0.1:9")
        .env("HOME", "/nonexistent")
        .stdin(screen)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = File::from(keyboard);
    let mut asked = Vec::new();
    for key in keys {
        // The terminal is silent before the prompt is complete.
        let mut byte = [0];
        while !asked.ends_with(b": ") {
            child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        asked.push(b'|');
        keyboard.write_all(key.as_bytes()).unwrap();
    }
    let said = Said::at_the_end(child);
    // Reading ends with an error when nobody has the other side open any more.
    let mut shown = Vec::new();
    let _ = keyboard.read_to_end(&mut shown);
    (said, String::from_utf8(shown).unwrap())
}

#[test]
fn a_secret_is_not_shown_and_a_new_one_is_typed_twice() {
    let line = "init --protection passphrase --admin root";
    let (said, shown) = at_a_terminal(line, &["correct horse battery\n", "correct house battery\n"]);
    assert_eq!(shown, "", "the terminal shows nothing of what is typed");
    said.badly(2, "the two passphrases differ");
}

#[test]
fn control_c_ends_the_program_and_not_the_terminal() {
    let (said, shown) = at_a_terminal("login", &["writ_enrol\u{3}"]);
    assert_eq!(shown, "");
    said.badly(130, "interrupted");
}
