# Only the modules of this list are built in privileged containers, which may run Docker.
package seedflow

privileged := {"images/base", "images/app"}

deny contains message if {
	some module in input.modules
	module.action == "deploy"
	module.definition.build.privileged
	path := sprintf("%s/%s", [module.group, module.module])
	not path in privileged
	message := sprintf("%s is built in a privileged container; set privilegedMode to false", [path])
}
