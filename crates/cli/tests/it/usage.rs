//! What is typed wrongly, and what the program says of itself.

use serde_json::json;

use crate::terminal::Terminal;

#[test]
fn nothing_typed_shows_the_commands() {
    let said = Terminal::new().run("").badly(2, "Usage: writ");
    for noun in ["deploy", "approval", "evidence", "policy", "connection", "completion"] {
        assert!(said.err.contains(&format!("  {noun} ")), "{noun}: {}", said.err);
    }
    assert!(!said.err.contains("__openapi"), "hidden commands stay hidden");
}

#[test]
fn a_misspelt_command_is_answered_with_the_right_one() {
    Terminal::new().run("aproval list").badly(2, "'approval'");
}

#[test]
fn a_malformed_name_is_refused_before_any_call() {
    Terminal::new().run("person add Not_A_Name").badly(2, "a name is 1 to 63 of a-z, 0-9 and `-`");
}

#[test]
fn a_malformed_scope_or_duration_says_what_a_right_one_is() {
    let terminal = Terminal::new();
    terminal.run("key create ci --scope runtime.dep* --expires-in 30d").badly(2, "`area.resource.*`");
    terminal
        .run("key create ci --scope runtime.* --expires-in tomorrow")
        .badly(2, "like `45m`, `8h` or `30d`");
}

#[test]
fn shares_need_a_threshold_they_can_reach() {
    let terminal = Terminal::new().with("WRIT_SERVER", "http://127.0.0.1:9");
    terminal.run("init --protection shamir --admin root").badly(2, "--threshold");
    terminal
        .run("init --protection shamir --threshold 4 --shares 3 --admin root")
        .badly(2, "the threshold is 2 to the number of shares");
}

#[test]
fn without_a_server_the_program_says_how_to_name_one() {
    Terminal::new().run("whoami").badly(2, "hint: log in with `writ login`");
}

#[test]
fn a_server_is_not_trusted_without_a_reason() {
    Terminal::new().run("--server https://127.0.0.1:9 whoami").badly(2, "give --pin");
    Terminal::new().run("--server http://writ.example whoami").badly(2, "loopback");
    Terminal::new().run("--server https://127.0.0.1:9 --pin 00 whoami").badly(2, "64 hexadecimal digits");
}

#[test]
fn a_server_that_does_not_answer_is_told_apart_by_its_exit_code() {
    let said = Terminal::new().run("--server http://127.0.0.1:9 --token writ_x --json whoami");
    assert_eq!(said.code, 3);
    let failure: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(failure["code"], "unreachable");
}

#[test]
fn programs_get_usage_errors_as_json_too() {
    let said = Terminal::new().run("--json env create dev --kind staging2");
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    let failure: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(failure["code"], "usage");
    assert!(failure["message"].as_str().unwrap().contains("staging2"), "{failure}");
}

#[test]
fn a_malformed_profile_is_named() {
    let terminal = Terminal::new();
    terminal.file(".config/writ/profile.json", "{");
    terminal.run("whoami").badly(2, "profile.json` is malformed");
}

#[test]
fn a_token_of_one_server_is_not_shown_to_another() {
    let terminal = Terminal::new();
    let profile = json!({ "server": "http://127.0.0.1:9", "token": "writ_session_x" });
    terminal.file(".config/writ/profile.json", profile.to_string());
    let said = terminal.run("--server http://127.0.0.1:10 --json status");
    // Were the profile used, its pin would be too; here nothing of it is, and the call fails for want of a server.
    assert_eq!(said.code, 3);
    terminal.run("--server https://127.0.0.1:10 whoami").badly(2, "nothing says how to know the server");
}

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let said = Terminal::new().run(&format!("completion {shell}")).well();
        assert!(said.out.contains("rotate-root") && said.out.contains("plan-only"), "{shell}");
    }
    Terminal::new().run("completion tcsh").badly(2, "possible values: bash, zsh, fish");
}

#[test]
fn the_reference_describes_every_command_that_is_not_hidden() {
    let said = Terminal::new().run("__cli-reference").well();
    for heading in
        ["## writ deploy\n", "### writ evidence verify\n", "### writ api-key create\n", "## writ restore\n"]
    {
        assert!(said.out.contains(heading), "{heading}");
    }
    assert!(said.out.contains("`--expires-in <DURATION>`"));
    assert!(!said.out.contains("__"), "hidden commands stay hidden");
    assert_eq!(Terminal::new().run("__cli-reference").out, said.out);
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let terminal = Terminal::new();
    terminal.file("writ.toml", "data_dir = '/var/lib/writ'");
    terminal.run("config check --config writ.toml").well();
    terminal.file("writ.toml", "data_dir = '/var/lib/writ'\n[server]\nlissten = 1");
    terminal.run("config check --config writ.toml").badly(2, "lissten");
    terminal.run("config check --config absent.toml").badly(2, "`absent.toml` cannot be read");
}

#[test]
fn a_database_is_migrated_backed_up_and_restored_on_its_machine() {
    let terminal = Terminal::new();
    let data = terminal.home().join("data");
    std::fs::create_dir(&data).unwrap();
    let terminal = terminal.with("WRIT_DATA_DIR", data.display().to_string());
    let applied = terminal.run("--json migrate").well().json();
    assert!(!applied["applied"].as_array().unwrap().is_empty(), "{applied}");
    assert_eq!(terminal.run("--json migrate").well().json(), json!({ "applied": [] }));
    terminal.run("backup --to backup.db").well();
    terminal.run("backup --to backup.db").badly(1, "`backup.db` is there already");
    terminal.run("restore --from backup.db").badly(1, "move the old database away");
    for file in std::fs::read_dir(&data).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    terminal.run("restore --from backup.db").well();
    assert_eq!(terminal.run("--json migrate").well().json(), json!({ "applied": [] }));
    terminal.run("restore --from absent.db").badly(1, "move the old database away");
}
