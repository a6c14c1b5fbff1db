# Builds run in images of a fixed version.
package seedflow

deny contains message if {
	some module in input.modules
	module.action == "deploy"
	image := module.definition.build.image
	floats(image)
	message := sprintf("%s/%s is built in the image %s, which has no fixed version", [module.group, module.module, image])
}

floats(image) if endswith(image, ":latest")

# Without a tag or a digest it is the latest one, too. A port of the registry is not a tag.
floats(image) if {
	not contains(image, "@")
	parts := split(image, "/")
	not contains(parts[count(parts) - 1], ":")
}
