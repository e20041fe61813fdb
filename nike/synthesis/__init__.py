"""Generation of labelled synthetic images, with a given logo on given backgrounds.

    svg, logo     outlines of an SVG path, or outlines and colors of a raster image with an alpha channel
    cutouts       logos cut out of a labelled dataset
    backgrounds   crops of photos, and plain gradients
    placement     mapping from the logo to the image: a cylinder and a homography
    masks         coverage of the pixels, and polygons of the visible part
    paint         print effects: ink, fading, threads, relief, shadow
    occlusion     objects in front of the logos
    compose       complete images

Coordinates are (x, y) in continuous pixels with the origin at the top left corner of the image, as in labelme. Pixel 0
covers 0..1. Colors are float32 RGB in 0..1. All random numbers are drawn from one `numpy.random.Generator`, so an
image is determined by its seed.
"""
