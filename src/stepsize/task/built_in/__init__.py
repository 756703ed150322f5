"""The tasks that come with the package: the courses' worked examples, on real data."""

from stepsize.task.built_in._cifar10 import cifar10 as cifar10
from stepsize.task.built_in._cifar10 import cifar10_plateau as cifar10_plateau
from stepsize.task.built_in._cifar10 import cifar10_small as cifar10_small
from stepsize.task.built_in._cifar10 import cifar10_small_plateau as cifar10_small_plateau
from stepsize.task.built_in._courses import BowlCourse as BowlCourse
from stepsize.task.built_in._courses import LakeCourse as LakeCourse
from stepsize.task.built_in._digits import digits as digits
from stepsize.task.built_in._frozenlake import frozenlake as frozenlake
from stepsize.task.built_in._mnist import mnist as mnist
from stepsize.task.built_in._quadratic import quadratic as quadratic
from stepsize.task.built_in._reviews import imdb as imdb
from stepsize.task.built_in._reviews import rotten_tomatoes as rotten_tomatoes
from stepsize.task.built_in._shakespeare import shakespeare as shakespeare
from stepsize.task.built_in._small import digits_mlp as digits_mlp
from stepsize.task.built_in._small import linear_regression as linear_regression

WITH_DATA = (  # which is read from a folder or the hub
    mnist,
    cifar10_small,
    cifar10_small_plateau,
    cifar10,
    cifar10_plateau,
    imdb,
    rotten_tomatoes,
    shakespeare,
)
TASKS = (quadratic, linear_regression, digits, digits_mlp, *WITH_DATA, frozenlake)
