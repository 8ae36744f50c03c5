variable "db_password" {
  type = string
  sensitive = true
  default = "S3nsitive<&>\"pw\"-line1"
}
variable "multi" { 
  type = string
  sensitive = true
  default = "first-secret-line-123\nsecond<secret>&line-456"
}
variable "region" { default = "eu-west-1" }
resource "terraform_data" "a" {
  count = 3
  input = { name = "web-${count.index}", arn = "arn:aws:iam::123456789012:role/deployer", digest = sha256("x${count.index}"), id=uuidv5("dns","example.org"), image="nginx@sha256:${sha256("img")}", password = var.db_password, enabled = true }
  triggers_replace = [sha1("t"), base64sha256("q")]
}
resource "terraform_data" "b" {
  input = var.multi
  provisioner "local-exec" { command = "echo hello < /dev/null && echo 'key = value'" }
}
output "secret" { 
 value = var.db_password 
 sensitive = true 
}
output "open" { value = terraform_data.a[0].id }
output "nested" {
 value = { endpoint = "https://example.org/x?y=1&z=2", list = [1,2,3] }
}
