"""x"""

contacts_import = campaigns_list = campaigns_launch = campaigns_watch = campaigns_pause = campaigns_resume = (
    campaigns_cancel
) = lambda a: 0
