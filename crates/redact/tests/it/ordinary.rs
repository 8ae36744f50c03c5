//! Ordinary output passes unchanged.

use crate::redacted;
use writ_redact::Values;

const OUTPUTS: &[(&str, &str)] = &[
    ("init", include_str!("ordinary/init.txt")),
    ("plan", include_str!("ordinary/plan.txt")),
    ("plan with replacement", include_str!("ordinary/plan2.txt")),
    ("apply", include_str!("ordinary/apply.txt")),
    ("show", include_str!("ordinary/show.txt")),
    ("destroy", include_str!("ordinary/destroy.txt")),
    ("machine-readable plan", include_str!("ordinary/plan.jsonl")),
    ("machine-readable apply", include_str!("ordinary/apply.jsonl")),
    ("resources of clouds", include_str!("ordinary/aws.txt")),
];

#[test]
fn output_of_the_tools_is_untouched() {
    for (name, output) in OUTPUTS {
        let redacted = redacted(&Values::new(), output.as_bytes());
        for (line, (before, after)) in output.lines().zip(redacted.lines()).enumerate() {
            assert_eq!(before, after, "{name}, line {}", line + 1);
        }
        assert_eq!(output.len(), redacted.len(), "{name}");
    }
}

#[test]
fn what_is_redacted_already_is_untouched() {
    let text = "password = \"[REDACTED:assignment]\" token=[REDACTED:assignment] AWS_SECRET_ACCESS_KEY=[REDACTED:aws-secret-key]\n\
                https://user:[REDACTED:url-password]@host/ Authorization: Bearer [REDACTED:jwt] secret: ***\n";
    assert_eq!(redacted(&Values::new(), text.as_bytes()), text);
}
