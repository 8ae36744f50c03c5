//! The static gate: what each rule finds, and what must pass.

use std::{fs, path::Path};

use proptest::prelude::*;
use writ_runner::static_gate::{Backend, Finding, GatePolicy, Severity, check, passes};
use writ_wire::connections::StateBackend;

fn policy() -> GatePolicy {
    GatePolicy {
        allowed_providers: vec!["hashicorp/aws".into(), "hashicorp/null".into(), "hashicorp/http".into()],
        allowed_module_sources: vec![
            "terraform-aws-modules".into(),
            "git::https://git.example.com/infra".into(),
        ],
        allow_local_exec: false,
        allow_external_data: false,
        backend: Backend::S3,
    }
}

fn findings(files: &[(&str, &str)]) -> Vec<Finding> {
    findings_under(files, &policy())
}

fn findings_under(files: &[(&str, &str)], policy: &GatePolicy) -> Vec<Finding> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    check(root.path(), policy)
}

/// Rules found in `main.tf`, with their lines.
fn rules(text: &str) -> Vec<(&'static str, usize)> {
    findings(&[("main.tf", text)]).iter().map(|finding| (finding.rule, finding.line)).collect()
}

fn json_rules(text: &str) -> Vec<(&'static str, usize)> {
    findings(&[("main.tf.json", text)]).iter().map(|finding| (finding.rule, finding.line)).collect()
}

#[test]
fn an_ordinary_configuration_passes() {
    let main = r#"
terraform {
  required_providers {
    aws = { source = "registry.opentofu.org/hashicorp/aws", version = "~> 6.0" }
  }
  backend "s3" {}
}
provider "aws" {
  region = var.region
  default_tags { tags = { owner = "team" } }
}
variable "region" { type = string }
module "net" { source = "./modules/net" }
resource "aws_s3_bucket" "b" { bucket = "x-${var.region}" }
resource "terraform_data" "t" { input = file("${path.module}/motd.txt") }
output "b" { value = aws_s3_bucket.b.arn }
"#;
    let net = r#"resource "null_resource" "n" {
  triggers = { x = templatefile("${path.module}/../../shared/x.tpl", { a = 1 }) }
}"#;
    let found = findings(&[
        ("main.tf", main),
        ("modules/net/main.tf", net),
        ("shared/x.tpl", "hello ${a}\n"),
        ("motd.txt", "hi"),
        (".terraform.lock.hcl", ""),
    ]);
    assert_eq!(found, []);
}

#[test]
fn programs_that_run_are_found() {
    assert_eq!(
        rules("data \"external\" \"x\" {\n program = [\"sh\"]\n}"),
        [("external-data", 1), ("provider-not-allowed", 1)]
    );
    for kind in ["local-exec", "remote-exec", "file"] {
        let text = format!("resource \"null_resource\" \"x\" {{\n  provisioner \"{kind}\" {{}}\n}}");
        assert_eq!(rules(&text), [("provisioner", 2)], "{kind}");
    }
    assert_eq!(
        rules("removed {\n from = null_resource.x\n provisioner \"local-exec\" {\n command = \"id\"\n }\n}"),
        [("provisioner", 3)]
    );
    assert_eq!(rules("check \"c\" {\n data \"external\" \"x\" {\n }\n}")[0], ("external-data", 2));
    let exec = "provider \"null\" {\n kubernetes = { exec = { command = \"sh\" } }\n}";
    assert_eq!(rules(exec), [("provider-exec", 1)]);
    assert_eq!(rules("provider \"null\" {\n kubernetes {\n exec {\n }\n }\n}"), [("provider-exec", 1)]);
    let encryption =
        "terraform {\n encryption {\n key_provider \"external\" \"k\" {\n command = [\"sh\"]\n }\n }\n}";
    assert_eq!(rules(encryption), [("encryption-external", 3)]);
}

#[test]
fn programs_may_run_where_they_are_allowed() {
    let allowing = GatePolicy {
        allow_local_exec: true,
        allow_external_data: true,
        allowed_providers: vec!["hashicorp/null".into(), "hashicorp/external".into()],
        ..policy()
    };
    let text =
        "data \"external\" \"x\" {}\nresource \"null_resource\" \"x\" {\n provisioner \"local-exec\" {}\n}";
    assert_eq!(findings_under(&[("main.tf", text)], &allowing), []);
}

#[test]
fn another_spelling_is_the_same_thing() {
    for text in [
        r#"data "\u0065xternal" "x" {}"#,
        "data external x {}",
        "\u{feff}data \"external\" \"x\" {}",
        "data /* */ \"external\" \"x\" { # }\n}",
        "data \"external\" \"x\" {}\r\n",
    ] {
        assert_eq!(rules(text)[0].0, "external-data", "{text}");
    }
    assert_eq!(json_rules(r#"[{"data": {"extern\u0061l": {"x": {}}}}]"#)[0].0, "external-data");
}

#[test]
fn the_json_syntax_is_read_like_the_other() {
    assert_eq!(json_rules("{\n \"data\": {\n \"external\": {\n \"x\": {} } } }")[0], ("external-data", 4));
    let listed = r#"{"resource": [{"null_resource": [{"x": [{"provisioner": [{"local-exec": {"command": "id"}}]}]}]}]}"#;
    assert_eq!(json_rules(listed), [("provisioner", 1)]);
    assert_eq!(json_rules(r#"{"locals": {"x": "${file(\"/etc/passwd\")}"}}"#), [("file-outside", 1)]);
    assert_eq!(json_rules(r#"{"locals": {"x": {"${file(\"/etc/passwd\")}": 1}}}"#), [("file-outside", 1)]);
    assert_eq!(
        json_rules(r#"{"terraform": {"backend": {"s3": {"secret_key": "x"}}}}"#),
        [("backend-secret", 1)]
    );
}

#[test]
fn a_name_that_comes_twice_in_json_hides_nothing() {
    let text =
        r#"{"resource": {"null_resource": {"x": {"provisioner": {"local-exec": {}}, "provisioner": []}}}}"#;
    assert_eq!(json_rules(text), [("provisioner", 1)]);
    let text = r#"{"data": {"external": {"x": {}}}, "data": {}}"#;
    assert_eq!(json_rules(text)[0].0, "external-data");
}

#[test]
fn providers_are_allowed_by_source_and_not_by_name() {
    assert_eq!(rules("resource \"google_project\" \"x\" {}"), [("provider-not-allowed", 1)]);
    assert_eq!(rules("provider \"google\" {}"), [("provider-not-allowed", 1)]);
    let renamed = "terraform {\n required_providers {\n aws = { source = \"evil/aws\" }\n }\n}\nresource \"aws_x\" \"y\" {}";
    assert_eq!(rules(renamed), [("provider-not-allowed", 3)]);
    let computed = "terraform {\n required_providers {\n aws = { source = var.x }\n }\n}";
    assert_eq!(rules(computed), [("provider-not-allowed", 3)]);
    assert_eq!(rules("resource \"aws_x\" \"y\" {\n provider = evil.x\n}"), [("provider-not-allowed", 2)]);
    let hidden = [("main.tf", ""), ("a/main.tf", "resource \"evil_x\" \"y\" {}")];
    assert_eq!(findings(&hidden)[0].rule, "provider-not-allowed");
    let twice = "terraform {\n required_providers {\n aws = { source = \"hashicorp/aws\" }\n }\n}\n";
    let found = findings(&[("a.tf", twice), ("b.tf", &twice.replace("hashicorp/aws", "hashicorp/null"))]);
    assert_eq!(found[0].rule, "provider-ambiguous");
}

#[test]
fn modules_come_from_here_or_from_allowed_places_and_are_pinned() {
    let module =
        |source: &str, more: &str| rules(&format!("module \"m\" {{\n source = {source}\n {more}\n}}"));
    assert_eq!(module("\"../outside\"", ""), [("module-outside", 2)]);
    assert_eq!(module("\"./a/../../b\"", ""), [("module-outside", 2)]);
    assert_eq!(module("var.x", ""), [("module-source", 2)]);
    for source in [
        "evil/net/aws",
        "github.com/x/y",
        "/etc",
        "terraform-aws-modules-evil/vpc/aws",
        "git::https://git.example.com/infra/../evil?ref=v1",
        "s3::https://s3.amazonaws.com/b/x.zip",
    ] {
        assert_eq!(module(&format!("\"{source}\""), "")[0].0, "module-not-allowed", "{source}");
    }
    let registry = "\"terraform-aws-modules/vpc/aws\"";
    assert_eq!(module(registry, ""), [("module-unpinned", 2)]);
    assert_eq!(module(registry, "version = \"~> 5.0\""), [("module-unpinned", 2)]);
    assert_eq!(module(registry, "version = \">= 1.0.0\""), [("module-unpinned", 2)]);
    assert_eq!(module(registry, "version = \"5.1.2\""), []);
    let git =
        |query: &str| module(&format!("\"git::https://git.example.com/infra/net.git//sub{query}\""), "");
    assert_eq!(git(""), [("module-unpinned", 2)]);
    assert_eq!(git("?ref=main"), [("module-movable", 2)]);
    assert_eq!(git("?ref=0123456789abcdef0123456789abcdef01234567"), []);
}

#[test]
fn a_modules_address_is_told_without_its_password() {
    let text = "module \"m\" {\n source = \"git::https://user:hunter2@example.com/x?sshkey=hunter3\"\n}";
    let found = findings(&[("main.tf", text)]);
    assert!(!found[0].message.contains("hunter"), "{}", found[0].message);
}

#[test]
fn a_backend_is_the_connections_and_holds_no_secret() {
    let backend =
        |kind: &str, inner: &str| rules(&format!("terraform {{\n backend \"{kind}\" {{\n {inner}\n }}\n}}"));
    for kind in ["local", "http", "gcs", "remote", "pg"] {
        assert_eq!(backend(kind, ""), [("backend-kind", 2)], "{kind}");
    }
    for key in
        ["access_key", "secret_key", "token", "sas_token", "client_secret", "password", "sse_customer_key"]
    {
        assert_eq!(backend("s3", &format!("{key} = \"x\"")), [("backend-secret", 3)], "{key}");
        assert_eq!(backend("s3", &format!("{key} = var.x")), [("backend-secret", 3)], "{key}");
    }
    for inner in [
        "profile = \"x\"",
        "role_arn = \"x\"",
        "endpoint = \"http://x\"",
        "endpoints = { s3 = \"http://x\" }",
    ] {
        assert!(backend("s3", inner).iter().all(|found| *found == ("backend-identity", 3)), "{inner}");
        assert!(!backend("s3", inner).is_empty(), "{inner}");
    }
    assert_eq!(backend("s3", "assume_role {}"), [("backend-identity", 3)]);
    assert_eq!(backend("s3", "bucket = \"b\"\nkey = \"k\"\nuse_lockfile = true"), []);
    let local = GatePolicy { backend: (&StateBackend::Local {}).into(), ..policy() };
    let text = "terraform {\n backend \"local\" {}\n}";
    assert_eq!(findings_under(&[("main.tf", text)], &local), []);
    let text = "terraform {\n backend \"local\" {\n path = \"../../x\"\n }\n}";
    assert_eq!(findings_under(&[("main.tf", text)], &local)[0].rule, "backend-identity");
    assert_eq!(rules("terraform {\n cloud {\n }\n}"), [("cloud-block", 2)]);
}

#[test]
fn secrets_written_into_blocks_are_found_and_not_repeated() {
    for (text, rule) in [
        ("provider \"aws\" {\n secret_key = \"hunter2\"\n}", "provider-secret"),
        ("provider \"aws\" {\n token = (\"${\"hunter2\"}\")\n}", "provider-secret"),
        ("provider \"aws\" {\n shared_config_files = [\"./hunter2\"]\n}", "provider-identity"),
        (
            "terraform {\n encryption {\n key_provider \"pbkdf2\" \"k\" {\n passphrase = \"hunter2\"\n }\n }\n}",
            "encryption-secret",
        ),
        (
            "data \"terraform_remote_state\" \"x\" {\n backend = \"s3\"\n config = { secret_key = \"hunter2\" }\n}",
            "remote-state-secret",
        ),
    ] {
        let found = findings(&[("main.tf", text)]);
        assert_eq!(found[0].rule, rule, "{text}");
        assert!(!format!("{found:?}").contains("hunter2"), "{text}");
    }
    assert_eq!(rules("provider \"aws\" {\n secret_key = var.key\n}"), []);
}

#[test]
fn requests_to_the_machine_itself_are_found_in_any_spelling() {
    let http = |url: &str| rules(&format!("data \"http\" \"x\" {{\n url = {url}\n}}"));
    for url in [
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]/",
        "http://0xA9FEA9FE/",
        "http://2852039166/",
        "http://localhost:8080",
        "http://127.1/",
        "http://[::ffff:169.254.169.254]/",
        "http://10.1.2.3/",
        "http://metadata.google.internal/",
        "HTTP://LOCALHOST./",
        "http://x@127.0.0.1/${var.p}",
    ] {
        let url = format!("\"{url}\"");
        assert_eq!(http(&url), [("http-data-internal", 2)], "{url}");
    }
    for url in ["var.url", "\"http://${var.host}/x\"", "\"http://169.254.169.${var.n}/\""] {
        assert_eq!(http(url), [("http-data-unknown", 2)], "{url}");
    }
    assert_eq!(http("\"https://example.com/x\""), []);
    assert_eq!(http("\"https://example.com/${var.x}\""), []);
}

#[test]
fn files_outside_are_found_whatever_the_function() {
    for function in
        ["file", "filebase64", "fileexists", "filemd5", "filesha256", "filebase64sha512", "core::file"]
    {
        assert_eq!(
            rules(&format!("locals {{\n x = {function}(\"/etc/passwd\")\n}}")),
            [("file-outside", 2)],
            "{function}"
        );
    }
    for call in [
        "fileset(path.module, \"../**\")",
        "fileset(\"/\", \"*\")",
        "templatefile(\"~/x\", {})",
        "upper([for x in [1] : file(\"../../x\")][0])",
        "\"${ \"${file(\"/x\")}\" }\"",
        "file((\"/etc/passwd\"))",
    ] {
        assert_eq!(rules(&format!("locals {{\n x = {call}\n}}")), [("file-outside", 2)], "{call}");
    }
    let state =
        "data \"terraform_remote_state\" \"x\" {\n backend = \"local\"\n config = {\n path = \"../x\"\n }\n}";
    assert_eq!(rules(state), [("file-outside", 4)]);
    assert_eq!(rules("locals {\n x = pathexpand(\"~/x\")\n}"), [("path-expand", 2)]);
    assert_eq!(rules("locals {\n x = file(var.x)\n}"), [("file-unknown", 2)]);
    assert_eq!(rules("locals {\n x = file(join(\"\", [\"/etc\"]))\n}"), [("file-unknown", 2)]);
    assert_eq!(rules("locals {\n x = <<-E\n    a\n    ${file(\"/x\")}\n  E\n}"), [("file-outside", 4)]);
}

#[test]
fn a_template_is_configuration_too() {
    let main = "locals {\n x = templatefile(\"a.tpl\", {})\n}";
    let found = findings(&[("main.tf", main), ("a.tpl", "line\n${file(\"/etc/passwd\")}")]);
    assert_eq!((found[0].file.as_str(), found[0].line, found[0].rule), ("a.tpl", 2, "file-outside"));
    assert_eq!(findings(&[("main.tf", main)])[0].rule, "template-missing");
    assert_eq!(findings(&[("main.tf", main), ("a.tpl", "${")])[0].rule, "unparsable");
}

#[test]
fn surprises_among_the_files_are_found() {
    for (path, rule, severity) in [
        (".terraformrc", "tool-settings", Severity::Block),
        ("a/terraform.rc", "tool-settings", Severity::Block),
        (".terraform/modules/modules.json", "tool-settings", Severity::Block),
        (".aws/config", "tool-settings", Severity::Block),
        ("terraform.tfstate", "state-file", Severity::Block),
        ("writ_backend_override.tofu.json", "reserved-name", Severity::Block),
        ("writ_backend_override.tf", "reserved-name", Severity::Block),
        ("x.auto.tfvars", "implicit-variables", Severity::Warn),
        ("terraform.tfvars.json", "implicit-variables", Severity::Warn),
    ] {
        let found = findings(&[(path, "")]);
        assert_eq!((found[0].rule, found[0].severity), (rule, severity), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_found_and_not_followed() {
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.path().join("main.tf")).unwrap();
    std::os::unix::fs::symlink("/", root.path().join("everything")).unwrap();
    let found = check(root.path(), &policy());
    assert_eq!(found.iter().map(|finding| finding.rule).collect::<Vec<_>>(), ["symlink", "symlink"]);
}

#[test]
fn what_cannot_be_read_blocks_with_a_position() {
    let found = findings(&[("main.tf", "locals {\n  x = 1\n  y = = 2\n}\n")]);
    assert_eq!((found[0].rule, found[0].line), ("unparsable", 3));
    let found = findings(&[("main.tf.json", "{\n\"a\": 1,\n}")]);
    assert_eq!((found[0].rule, found[0].line), ("unparsable", 3));
    for text in [
        "x = ".to_owned() + &"[".repeat(100_000),
        "a {\n".repeat(5_000),
        format!("x = {}1", "-".repeat(100_000)),
        format!("x = {}1{}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("x = \"{}\"", "${\"".repeat(20_000)),
        format!("x = 1{}", " + 1".repeat(100_000)),
    ] {
        let found = findings(&[("main.tf", &text)]);
        assert_eq!(found[0].rule, "unparsable", "{text:.20}");
    }
    assert_eq!(findings(&[("main.tf.json", &"[".repeat(100_000))])[0].rule, "unparsable");
    assert_eq!(findings(&[("main.tf", &" ".repeat(2 << 20))])[0].rule, "unreadable");
    assert!(!passes(&check(Path::new("/nonexistent"), &policy())));
}

#[test]
fn a_flood_of_warnings_hides_no_finding_that_blocks() {
    let warnings: Vec<String> = (0..2_000).map(|number| format!(" a{number} = file(var.x)\n")).collect();
    let text = format!("locals {{\n{} z = file(\"/etc/passwd\")\n}}\n", warnings.concat());
    let found = findings(&[("main.tf", &text)]);
    assert!(found.len() <= 501);
    assert!(found.iter().any(|finding| finding.rule == "file-outside"));
}

#[test]
fn findings_are_the_same_each_time_and_in_order() {
    let files =
        [("b.tf", "provider \"x\" {}"), ("a.tf", "provider \"y\" {}\nprovider \"z\" {}"), ("c/d.tf", "=")];
    let first = findings(&files);
    assert_eq!(first, findings(&files));
    let order: Vec<(&str, usize)> =
        first.iter().map(|finding| (finding.file.as_str(), finding.line)).collect();
    assert_eq!(order, [("a.tf", 1), ("a.tf", 2), ("b.tf", 1), ("c/d.tf", 1)]);
}

/// Pieces from which hostile configurations are made.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("data \"external\" \"x\" {}\n".to_owned()),
        Just("resource \"aws_x\" \"y\" {\n".to_owned()),
        Just("provisioner \"local-exec\" {\n".to_owned()),
        Just("terraform {\nbackend \"s3\" {\n".to_owned()),
        Just("x = templatefile(\"${path.module}/".to_owned()),
        Just("}\n".to_owned()),
        Just("\"${".to_owned()),
        Just("<<EOF\n".to_owned()),
        Just("%{ if true }".to_owned()),
        Just("{\"data\": {\"external\": {\"x\": [".to_owned()),
        ".{0,12}",
        proptest::collection::vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn hostile_input_is_answered_with_findings(native in soup(), json in soup(), bytes in any::<Vec<u8>>()) {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.tf"), native).unwrap();
        fs::write(root.path().join("b.tf.json"), json).unwrap();
        fs::write(root.path().join("c.tofu"), bytes).unwrap();
        let found = check(root.path(), &policy());
        prop_assert_eq!(&found, &check(root.path(), &policy()));
        prop_assert!(found.iter().all(|finding| !finding.message.contains('\n') && finding.message.chars().count() <= 300));
    }

    #[test]
    fn a_program_is_found_wherever_it_stands(depth in 0_usize..20, before in "[a-z]{1,8}", json in any::<bool>()) {
        let (open, close) = ("check \"c\" {\n".repeat(depth), "}\n".repeat(depth));
        let text = if json {
            let list = |inner: String| (0..depth).fold(inner, |inner, _| format!("[{inner}]"));
            format!("{{\"locals\": {{\"{before}\": 1}}, \"data\": {}}}", list(r#"{"external": {"x": {}}}"#.into()))
        } else {
            format!("locals {{\n {before} = 1\n}}\n{open}data \"external\" \"x\" {{\n}}\n{close}")
        };
        let name = if json { "m.tf.json" } else { "m.tf" };
        prop_assert!(findings(&[(name, &text)]).iter().any(|finding| finding.rule == "external-data"));
    }
}
