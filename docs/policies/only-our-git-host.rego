# The files of a module are from the repository that is deployed, or from our own git host.
package seedflow

hosts := {"git.example.com"}

deny contains message if {
	some module in input.modules
	module.action == "deploy"
	source := module.definition.source
	not is_ours(source)
	from := object.get(source, "url", "an upload of its own")
	message := sprintf("%s/%s is from %s, expected one of %s", [module.group, module.module, from, concat(", ", hosts)])
}

is_ours(source) if source.kind == "repository"

is_ours(source) if {
	source.kind == "git"
	some host in hosts
	startswith(source.url, sprintf("https://%s/", [host]))
}
