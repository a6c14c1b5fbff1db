# On Fridays no module is destroyed, by the clocks of Berlin.
package seedflow

time_zone := "Europe/Berlin"

deny contains message if {
	input.now.weekday == "Friday"
	some module in input.modules
	is_destroyed(module)
	message := sprintf("%s/%s is not destroyed on a Friday", [module.group, module.module])
}

is_destroyed(module) if module.action == "destroy"

# A module that moves to another account or region is destroyed at its old place first.
is_destroyed(module) if module.moves
