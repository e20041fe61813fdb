"""Rendering of labelled synthetic images of a logo with NumPy, OpenCV and Pillow.

An image is composed of layers by these modules:

    svg, logo           outline of an SVG path, or outline and colours of a raster image with alpha
    geometry            splines, homographies, rasterisation and polygon extraction
    canvas              colour, height and gloss per pixel, and the lighting model
    materials           colours and surface textures (knit, leather, plastic, ...)
    styles, placement   drawing of a logo in a random style, and its visible region
    labelling           polygons of the visible regions, and `ignore` labels for unclear logos
    distractors         shapes and words that resemble logos
    pen                 drawing of products in their own coordinate frames
    shoes, clothes, accessories, goods    the products
    occlusion           objects in front of the logos
    scenes              backgrounds
    camera              lighting, blur, noise and JPEG artefacts without geometric changes
    cutouts             logos cut out of a labelled dataset
    compose             composition of complete images

Coordinates are (x, y) in continuous pixels with the origin at the top left corner of the image, as in labelme. Pixel 0
covers 0..1. All randomness comes from one `numpy.random.Generator`, so a seed determines the image.
"""
